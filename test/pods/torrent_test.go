//go:build e2e

package pods

import (
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/torrent-operator/torrent-operator/internal/engine/metainfo"
)

// torrent is content that is served in a namespace: by a tracker, which is
// Service "tracker", and by a seeder, each in a Pod of the operator's image.
type torrent struct {
	name string
	meta *metainfo.Metainfo
	sums string // what "tool sum" says of the content
}

// torrent makes content of a size in bytes, decided by its name, and serves it.
// The .torrent file lies in a ConfigMap of its name under NAME.torrent.
func (w *world) torrent(name string, size int) *torrent {
	w.Helper()
	t := w.describe(name, size, "http://tracker."+w.ns+".svc:6969/announce")
	tracker := w.pod("tracker", "tracker", "--listen=:6969", "--interval=10s")
	tracker.Spec.Containers[0].Image = operatorImage
	tracker.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
		PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: port(6969)}},
	}
	w.create(tracker, w.service("tracker", 6969, 6969))
	w.awaitRunning(tracker)
	seeder := w.pod("seeder", "download", "/torrent/"+name+".torrent", "--output=/data", "--seed")
	seeder.Spec.Containers[0].Image = operatorImage
	mount(&seeder.Spec, "/torrent", t.volume())
	mount(&seeder.Spec, "/data", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
	maker := podSpec("content", "/data", name, fmt.Sprint(size)).Containers[0]
	maker.Name, maker.VolumeMounts = "content", seeder.Spec.Containers[0].VolumeMounts[1:]
	seeder.Spec.InitContainers = []corev1.Container{maker}
	// The one writes what the other reads, and keeps a journal beside.
	seeder.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64), RunAsGroup: new(int64)}
	w.create(seeder)
	w.awaitRunning(seeder)
	return t
}

// describe makes content of a size in bytes, decided by its name, and its
// .torrent file, as torrent does. Nobody serves it.
func (w *world) describe(name string, size int, trackers ...string) *torrent {
	w.Helper()
	folder := w.TempDir()
	w.here("content", folder, name, fmt.Sprint(size))
	t := &torrent{name: name, sums: w.here("sum", filepath.Join(folder, name))}
	options := metainfo.CreateOptions{PieceLength: 64 << 10}
	for _, tracker := range trackers {
		options.Announce = append(options.Announce, []string{tracker})
	}
	var err error
	if t.meta, err = metainfo.Create(w.Context(), filepath.Join(folder, name), options); err != nil {
		w.Fatal(err)
	}
	w.publish(t)
	return t
}

// publish puts the .torrent file into a ConfigMap of this namespace.
func (w *world) publish(t *torrent) {
	w.Helper()
	file, err := t.meta.Marshal()
	if err != nil {
		w.Fatal(err)
	}
	w.create(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: t.name}, BinaryData: map[string][]byte{t.name + ".torrent": file}})
}

// volume holds the .torrent file.
func (t *torrent) volume() corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: t.name}}}
}

// service leads to the Pod of its name.
func (w *world) service(name string, from, to int) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": name},
			Ports:    []corev1.ServicePort{{Port: int32(from), TargetPort: port(to)}},
		},
	}
}

func port(number int) intstr.IntOrString { return intstr.FromInt32(int32(number)) }
