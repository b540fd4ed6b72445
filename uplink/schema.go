package uplink

import _ "embed"

// ProtobufSchema is the text of schema/milepost.proto, whose first message is
// milepost.v1.Record.
//
//go:embed schema/milepost.proto
var ProtobufSchema string
