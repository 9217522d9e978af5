package cgroup

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	const v1, v2 = "9:cpu,cpuacct:/x\n4:memory:/kubepods/pod1/c1\n1:name=systemd:/x\n0::/ignored\n", "0::/kubepods/pod1/c1\n"
	for name, c := range map[string]struct {
		groups string
		files  map[string]string
		want   int64
	}{
		"no cgroups":                             {"", nil, 0},
		"garbage":                                {"a\n:\n0::\n4:memory\n", nil, 0},
		"v2 without a limit":                     {v2, map[string]string{"kubepods/pod1/c1/memory.max": "max\n"}, 0},
		"v2":                                     {v2, map[string]string{"kubepods/pod1/c1/memory.max": "134217728\n"}, 134217728},
		"v2 below a smaller one":                 {v2, map[string]string{"kubepods/pod1/c1/memory.max": "max\n", "kubepods/pod1/memory.max": "200\n", "kubepods/memory.max": "300\n"}, 200},
		"v2 in a namespace":                      {"0::/\n", map[string]string{"memory.max": "134217728\n"}, 134217728},
		"v2 with the host's path in a container": {v2, map[string]string{"memory.max": "134217728\n"}, 134217728},
		"v2 beside v1":                           {v2, map[string]string{"unified/kubepods/pod1/c1/memory.max": "7\n"}, 7},
		"v1":                                     {v1, map[string]string{"memory/kubepods/pod1/c1/memory.limit_in_bytes": "134217728\n"}, 134217728},
		"v1 in a container":                      {v1, map[string]string{"memory/memory.limit_in_bytes": "134217728\n"}, 134217728},
		"v1 without a limit":                     {v1, map[string]string{"memory/memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		"v1 with several controllers":            {"4:cpu,memory:/\n", map[string]string{"memory/memory.limit_in_bytes": "5\n"}, 5},
		"not a number":                           {v2, map[string]string{"memory.max": "a lot\n"}, 0},
	} {
		root := t.TempDir()
		files := map[string]string{"proc/self/cgroup": c.groups}
		for name, content := range c.files {
			files["sys/fs/cgroup/"+name] = content
		}
		for name, content := range files {
			file := filepath.Join(root, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := memoryLimit(root); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
