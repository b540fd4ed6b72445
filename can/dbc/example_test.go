package dbc_test

import (
	"fmt"
	"os"

	"milepost/can/dbc"
)

func Example() {
	content, err := os.ReadFile("testdata/engine.dbc")
	if err != nil {
		fmt.Println(err)
		return
	}
	db, err := dbc.Parse("engine.dbc", content)
	if err != nil {
		fmt.Println(err)
		return
	}
	decoder := dbc.Compile([]*dbc.Database{db}, dbc.Options{})
	// The message is a J1939 parameter group: any priority and address will do.
	plan := decoder.Lookup(0x0CF00400, true)
	for _, v := range plan.Decode([]byte{0x00, 0x96, 0xFF, 0x20, 0x4E, 0xFF, 0xFF, 0xFF}, nil) {
		fmt.Println(v.Signal.Name, v.Physical, v.Signal.Unit, v.State)
	}
	// Output:
	// EngineSpeed 2500 rpm present
	// Mode 0  present
	// Torque 25 % present
}
