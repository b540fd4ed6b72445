package config

import (
	"encoding/json"
	"maps"
)

// JSONSchema is the JSON Schema (draft 2020-12) of the file, for editors. It knows
// less than Parse: nothing of keys that depend on one another.
func JSONSchema() []byte {
	s := sectionSchema(defaults())
	s["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	s["title"] = "milepost configuration"
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		panic("BUG: the schema is made of maps, lists and texts: " + err.Error())
	}
	return append(data, '\n')
}

// sectionSchema is the JSON Schema of a section.
func sectionSchema(s section) map[string]any {
	properties := make(map[string]any)
	required := []string{}
	for _, f := range s.fields() {
		p := maps.Clone(f.value.schema())
		p["description"] = f.doc
		if text := f.value.text(); text != "" {
			p["description"] = f.doc + " Default: " + text + "."
		}
		properties[f.key] = p
		if f.required {
			required = append(required, f.key)
		}
	}
	schema := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

// orNull allows nothing in place of a section.
func orNull(section map[string]any) map[string]any {
	section["type"] = []string{"object", "null"}
	return section
}
