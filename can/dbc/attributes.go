package dbc

import "slices"

// AttributeType is the type of an attribute's values.
type AttributeType uint8

const (
	AttributeString AttributeType = iota
	AttributeInt
	AttributeHex
	AttributeFloat
	AttributeEnum
)

var attributeTypes = map[string]AttributeType{
	"STRING": AttributeString,
	"INT":    AttributeInt,
	"HEX":    AttributeHex,
	"FLOAT":  AttributeFloat,
	"ENUM":   AttributeEnum,
}

// AttributeDefinition is a BA_DEF_ statement with its default (BA_DEF_DEF_).
type AttributeDefinition struct {
	Name string
	// Object is the keyword of what it applies to: BU_, BO_, SG_, EV_, or ""
	// for the database.
	Object string
	Type   AttributeType
	// Min and Max limit numbers; both 0 where the file leaves them open.
	Min, Max float64
	// Values are those of an enumeration, by index.
	Values []string
	// Default applies to objects without a value of their own; nil if there is
	// none.
	Default *Attribute
	Line    int
}

// Attribute is a value of a user-defined attribute.
type Attribute struct {
	Name string
	// Text is the value as text; of an enumeration the item, not its index.
	Text string
	// Number is the value as a number, of an enumeration the index. It is 0
	// unless Numeric.
	Number  float64
	Numeric bool
}

// Attributes are the values that an object has itself, in file order, each name
// once.
type Attributes []Attribute

// Get returns the attribute with the name. It does not look at defaults.
func (a Attributes) Get(name string) (attribute Attribute, ok bool) {
	for _, attribute := range a {
		if attribute.Name == name {
			return attribute, true
		}
	}
	return Attribute{}, false
}

// Definition returns the definition of an attribute, nil if there is none. If
// there are several, the last counts.
func (db *Database) Definition(name string) *AttributeDefinition {
	for i := len(db.Definitions) - 1; i >= 0; i-- {
		if db.Definitions[i].Name == name {
			return db.Definitions[i]
		}
	}
	return nil
}

// frameFormats are the values of VFrameFormat where a file defines it as a
// number (CANdb++, attribute templates for CAN and J1939).
var frameFormats = map[int]string{
	0:  "StandardCAN",
	1:  "ExtendedCAN",
	3:  "J1939PG",
	14: "StandardCAN_FD",
	15: "ExtendedCAN_FD",
}

// resolve completes an attribute value with what its definition says, and
// reports whether it agrees with it. Files write an enumeration's item as its
// index or as its text; in quotes, the text comes first.
func (d *AttributeDefinition) resolve(a *Attribute, quoted bool) bool {
	if d.Type != AttributeEnum {
		return d.Type == AttributeString || a.Numeric
	}
	byText := func() bool {
		i := slices.Index(d.Values, a.Text)
		if i >= 0 {
			a.Number, a.Numeric = float64(i), true
		}
		return i >= 0
	}
	byIndex := func() bool {
		i := int(a.Number)
		if !a.Numeric || i < 0 || i >= len(d.Values) || float64(i) != a.Number {
			return false
		}
		a.Text = d.Values[i]
		return true
	}
	if quoted && byText() || byIndex() || byText() {
		return true
	}
	a.Number, a.Numeric = 0, false
	// Many files have the empty text as default of an enumeration.
	return a.Text == ""
}
