package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	yaml "go.yaml.in/yaml/v4"
)

// TestSchemaFile keeps the copy that editors load.
func TestSchemaFile(t *testing.T) {
	golden(t, "../../docs/mesh.schema.json", Schema())
}

func TestSchemaIsDeterministic(t *testing.T) {
	first := Schema()
	for range 20 {
		if !bytes.Equal(first, Schema()) {
			t.Fatal("two schemas differ")
		}
	}
}

// TestSchemaAcceptsGood holds every good file against the schema.
func TestSchemaAcceptsGood(t *testing.T) {
	schema := loadSchema(t)
	files := corpus(t, "testdata/good/*.yaml", 3)
	for name, src := range corpus(t, "../../examples/*/mesh.yaml", 8) {
		files[name] = src
	}
	for name, src := range files {
		if problems := validate(schema, asJSON(t, src), ""); len(problems) > 0 {
			t.Errorf("%s: %q", name, problems)
		}
	}
}

// TestSchemaRefuses: the schema sees the same mistakes as Parse, as far as a
// schema can.
func TestSchemaRefuses(t *testing.T) {
	schema := loadSchema(t)
	for name, want := range map[string]string{
		"unknown-key":          "colour: not allowed",
		"unknown-key-deep":     "machin: not allowed",
		"missing-everything":   "mesh: missing",
		"missing-path":         "path: missing",
		"topology-and-cables":  "oneOf",
		"machine-and-ports":    "oneOf",
		"wrong-types":          "type",
		"trap-leading-zero":    "type",
		"mtu-too-small":        "minimum",
		"mtu-too-large":        "maximum",
		"mtu-fraction":         "type",
		"topology-unknown":     "enum",
		"format-unknown":       "enum",
		"names":                "pattern",
		"pci-paths":            "pattern",
		"endpoints-malformed":  "pattern",
		"too-few-too-many":     "minItems",
		"empty-ports":          "minProperties",
		"settings":             "propertyNames",
		"cable-speed":          "maximum",
		"adapter-out-of-range": "minimum",
		"missing-shape":        "shape: missing",
		"root-is-a-list":       "type",
	} {
		src, err := os.ReadFile(filepath.Join("testdata/bad", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		problems := validate(schema, asJSON(t, src), "")
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, want) }) {
			t.Errorf("%s: no %q among %q", name, want, problems)
		}
	}
}

func loadSchema(t *testing.T) map[string]any {
	t.Helper()
	var schema map[string]any
	if err := json.Unmarshal(Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if schema["$schema"] != "https://json-schema.org/draft/2020-12/schema" {
		t.Errorf("$schema is %v", schema["$schema"])
	}
	return schema
}

// asJSON reads a YAML file as an editor does: as plain JSON values.
func asJSON(t *testing.T, src []byte) any {
	t.Helper()
	var v any
	if err := yaml.Load(bytes.TrimPrefix(src, []byte("%YAML 1.2\n")), &v, yaml.WithUniqueKeys(false)); err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	b, err := json.Marshal(plain(v))
	if err != nil {
		t.Fatal(err)
	}
	var out any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// plain turns maps with keys of any type into maps of text.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	case map[any]any:
		m := map[string]any{}
		for k, x := range v {
			m[fmt.Sprint(k)] = plain(x)
		}
		return m
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	}
	return v
}

// validate is a JSON Schema validator for the keywords that Schema writes; an
// unknown keyword is a problem, so that none is forgotten here.
func validate(schema map[string]any, v any, path string) (problems []string) {
	bad := func(keyword, format string, args ...any) {
		problems = append(problems, fmt.Sprintf("%s: %s: %s", path, keyword, fmt.Sprintf(format, args...)))
	}
	sub := func(keyword string) map[string]any { m, _ := schema[keyword].(map[string]any); return m }
	text, isText := v.(string)
	num, isNum := v.(float64)
	list, isList := v.([]any)
	object, isObject := v.(map[string]any)
	for keyword, want := range schema {
		limit, _ := want.(float64)
		switch keyword {
		case "$schema", "$id", "title", "description", "examples", "then":
		case "type":
			types, ok := want.([]any)
			if !ok {
				types = []any{want}
			}
			if !slices.ContainsFunc(types, func(t any) bool {
				switch t {
				case "string":
					return isText
				case "number":
					return isNum
				case "integer":
					return isNum && num == math.Trunc(num)
				case "boolean":
					_, ok := v.(bool)
					return ok
				case "array":
					return isList
				case "object":
					return isObject
				}
				return false
			}) {
				bad(keyword, "%v is not %v", v, want)
			}
		case "pattern":
			if isText && !regexp.MustCompile(want.(string)).MatchString(text) {
				bad(keyword, "%q", text)
			}
		case "enum":
			if !slices.Contains(want.([]any), v) {
				bad(keyword, "%v", v)
			}
		case "if":
			if len(validate(sub("if"), v, path)) == 0 {
				problems = append(problems, validate(sub("then"), v, path)...)
			}
		case "minimum":
			if isNum && num < limit {
				bad(keyword, "%v", num)
			}
		case "maximum":
			if isNum && num > limit {
				bad(keyword, "%v", num)
			}
		case "minItems":
			if isList && float64(len(list)) < limit {
				bad(keyword, "%d", len(list))
			}
		case "maxItems":
			if isList && float64(len(list)) > limit {
				bad(keyword, "%d", len(list))
			}
		case "minProperties":
			if isObject && float64(len(object)) < limit {
				bad(keyword, "%d", len(object))
			}
		case "maxProperties":
			if isObject && float64(len(object)) > limit {
				bad(keyword, "%d", len(object))
			}
		case "items":
			for i, x := range list {
				problems = append(problems, validate(sub("items"), x, fmt.Sprintf("%s[%d]", path, i))...)
			}
		case "properties":
			for k, x := range object {
				if s, ok := sub("properties")[k].(map[string]any); ok {
					problems = append(problems, validate(s, x, path+"."+k)...)
				}
			}
		case "additionalProperties":
			for k, x := range object {
				if _, known := sub("properties")[k]; known {
					continue
				}
				if s, ok := want.(map[string]any); ok {
					problems = append(problems, validate(s, x, path+"."+k)...)
				} else {
					bad(keyword, "%s: not allowed", k)
				}
			}
		case "propertyNames":
			for k := range object {
				if len(validate(sub("propertyNames"), k, path)) > 0 {
					bad(keyword, "%q", k)
				}
			}
		case "required":
			for _, k := range want.([]any) {
				if _, ok := object[k.(string)]; isObject && !ok {
					bad(keyword, "%s: missing", k)
				}
			}
		case "oneOf":
			n := 0
			for _, s := range want.([]any) {
				if len(validate(s.(map[string]any), v, path)) == 0 {
					n++
				}
			}
			if isObject && n != 1 {
				bad(keyword, "%d of the alternatives fit", n)
			}
		default:
			bad(keyword, "the validator of this test does not know this keyword")
		}
	}
	return problems
}
