package config

import "encoding/json"

// Schema returns the JSON Schema (draft 2020-12) of the cluster file, for editors
// and other programs. It is written from the same table that Parse reads, always
// the same bytes. What a schema can't say (a port used twice, an address in a
// pool) is left to Parse.
func Schema() []byte {
	s := table.schema()
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["$id"] = "https://github.com/usb4mesh/usb4mesh/raw/main/docs/mesh.schema.json"
	s["title"] = "usb4mesh cluster file"
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("config: schema: " + err.Error()) // only maps, slices, strings and numbers: can't fail
	}
	return append(b, '\n')
}

// schema returns the rule in JSON Schema. Where several types are accepted, each
// keyword applies to its own type only, as JSON Schema has it.
func (r *rule) schema() map[string]any {
	s := map[string]any{}
	if r.doc != "" {
		s["description"] = r.doc
	}
	var ts []string
	if r.accepts(words) {
		ts = append(ts, "string")
		if r.pattern != "" {
			s["pattern"] = r.pattern
		}
		if len(r.enum) > 0 && r.types == words {
			s["enum"] = r.enum
		} else if len(r.enum) > 0 {
			s["if"] = map[string]any{"type": "string"}
			s["then"] = map[string]any{"enum": r.enum}
		}
	}
	if r.accepts(number) {
		if r.accepts(words) { // settings: any number or truth value is text
			ts = append(ts, "number", "boolean")
		} else {
			ts = append(ts, "integer")
			s["minimum"], s["maximum"] = r.min, r.max
		}
	}
	if r.accepts(list) {
		ts = append(ts, "array")
		s["items"] = r.items.schema()
		if r.min > 0 {
			s["minItems"] = r.min
		}
		if r.max > 0 {
			s["maxItems"] = r.max
		}
	}
	if r.accepts(mapping) {
		ts = append(ts, "object")
		r.objectSchema(s)
	}
	if len(ts) == 1 {
		s["type"] = ts[0]
	} else {
		s["type"] = ts
	}
	if r.sample != "" && (r.types == words || r.types == number) {
		s["examples"] = []any{r.sampleValue()}
	}
	return s
}

func (r *rule) objectSchema(s map[string]any) {
	if r.each != nil {
		s["additionalProperties"] = r.each.schema()
		s["propertyNames"] = map[string]any{"pattern": r.keyText.pattern}
	} else {
		s["additionalProperties"] = false
	}
	if r.min > 0 {
		s["minProperties"] = r.min
	}
	if r.max > 0 {
		s["maxProperties"] = r.max
	}
	properties := map[string]any{}
	var required []string
	for _, k := range r.keys {
		properties[k.name] = k.rule.schema()
		if k.required {
			required = append(required, k.name)
		}
	}
	if len(properties) > 0 {
		s["properties"] = properties
	}
	if len(required) > 0 {
		s["required"] = required
	}
	var oneOf []any
	for _, name := range r.oneOf {
		oneOf = append(oneOf, map[string]any{"required": []string{name}})
	}
	if oneOf != nil {
		s["oneOf"] = oneOf
	}
}

// sampleValue is the example as JSON knows it.
func (r *rule) sampleValue() any {
	var v any
	if json.Unmarshal([]byte(r.sample), &v) == nil {
		return v
	}
	return r.sample // a plain scalar of YAML
}
