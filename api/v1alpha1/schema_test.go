package v1alpha1_test

import (
	"context"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/install"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

const crdFile = "../../config/crd/bases/torrent-operator.io_torrentdownloads.yaml"

// apiServer does with an object what kube-apiserver does with one of a
// CustomResourceDefinition: prune, default and validate, CEL rules included.
type apiServer struct {
	crd        *apiextensions.CustomResourceDefinition
	structural *structuralschema.Structural
	schema     validation.SchemaValidator
	rules      *cel.Validator
}

func newAPIServer(t testing.TB) *apiServer {
	t.Helper()
	var external apiextensionsv1.CustomResourceDefinition
	b, err := os.ReadFile(filepath.FromSlash(crdFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(b, &external); err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	scheme.Default(&external)
	crd := &apiextensions.CustomResourceDefinition{}
	if err := scheme.Convert(&external, crd, nil); err != nil {
		t.Fatal(err)
	}
	// The internal type holds what all versions have in common only once.
	props := crd.Spec.Validation
	if props == nil {
		props = crd.Spec.Versions[0].Schema
	}
	s, err := structuralschema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	v, _, err := validation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		t.Fatal(err)
	}
	return &apiServer{crd: crd, structural: s, schema: v, rules: cel.NewValidator(s, true, celconfig.PerCallLimit)}
}

// admit returns obj as it would be stored, or why it is refused. With old it
// is an update of old.
func (a *apiServer) admit(obj, old map[string]any) (map[string]any, field.ErrorList) {
	obj = runtime.DeepCopyJSON(obj)
	unknown := pruning.PruneWithOptions(obj, a.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(obj, a.structural)
	defaulting.Default(obj, a.structural)
	var errs field.ErrorList
	for _, path := range unknown {
		errs = append(errs, field.Invalid(field.NewPath(path), nil, "unknown field"))
	}
	errs = append(errs, validation.ValidateCustomResource(nil, obj, a.schema)...)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, a.structural, obj)...)
	var oldObj any
	if old != nil {
		oldObj = old
	}
	ruleErrs, _ := a.rules.Validate(context.Background(), nil, a.structural, obj, oldObj, celconfig.RuntimeCELCostBudget)
	return obj, append(errs, ruleErrs...)
}

// The API server would accept the definition: it is structural, every rule
// compiles and its worst case is within the cost limits, columns and
// selectable fields are legal, and defaults are valid.
func TestDefinitionIsAccepted(t *testing.T) {
	a := newAPIServer(t)
	crd := a.crd.DeepCopy()
	crd.Status.StoredVersions = []string{"v1alpha1"}
	for _, err := range crdvalidation.ValidateCustomResourceDefinition(t.Context(), crd) {
		t.Error(err)
	}
}

// podTypes are fields whose types are those of Pods. What is inside of them has
// the bounds that it has there: none but the size of the object. It is handed
// on to the API server as it is.
var podTypes = []string{"spec.worker.affinity", "spec.worker.tolerations[127]", "spec.worker.topologySpreadConstraints[127]"}

// Everything that a client may write has an end: a string without a greatest
// length, or a list without a greatest number of items, is refused here.
func TestEveryStringAndListHasAMaximum(t *testing.T) {
	a := newAPIServer(t)
	for _, part := range []string{"spec", "status"} {
		bounded(t, field.NewPath(part), a.structural.Properties[part])
	}
}

func bounded(t *testing.T, path *field.Path, s structuralschema.Structural) {
	t.Helper()
	if slices.Contains(podTypes, path.String()) {
		return
	}
	v := s.ValueValidation
	if v == nil {
		v = &structuralschema.ValueValidation{}
	}
	switch {
	case s.Type == "string" && v.MaxLength == nil && v.Enum == nil && v.Format != "date-time":
		t.Errorf("%s: a string without maxLength", path)
	case s.Type == "array" && v.MaxItems == nil:
		t.Errorf("%s: a list without maxItems", path)
	case s.AdditionalProperties != nil && v.MaxProperties == nil:
		t.Errorf("%s: a map without maxProperties", path)
	}
	if a := s.AdditionalProperties; a != nil && a.Structural != nil {
		bounded(t, path.Key("*"), *a.Structural)
	}
	if s.Items != nil {
		bounded(t, path.Index(math.MaxInt8), *s.Items)
	}
	for name, p := range s.Properties {
		bounded(t, path.Child(name), p)
	}
}

// Every field explains itself in kubectl explain.
func TestEveryFieldIsDescribed(t *testing.T) {
	a := newAPIServer(t)
	var described func(path *field.Path, s structuralschema.Structural)
	described = func(path *field.Path, s structuralschema.Structural) {
		for name, p := range s.Properties {
			if len(p.Description) < 20 {
				t.Errorf("%s: description %q", path.Child(name), p.Description)
			}
			described(path.Child(name), p)
		}
	}
	for _, part := range []string{"spec", "status"} {
		described(field.NewPath(part), a.structural.Properties[part])
	}
}
