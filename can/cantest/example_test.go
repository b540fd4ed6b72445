package cantest_test

import (
	"fmt"
	"time"

	"milepost/can"
	"milepost/can/cantest"
)

// The first frames of a drive, and what one of them says.
func ExampleNewDrive() {
	drive := cantest.NewDrive(cantest.DriveOptions{Seed: 1})
	frames := make([]can.Frame, 3)
	n, err := drive.Read(frames)
	if err != nil {
		fmt.Println(err)
	}
	for _, f := range frames[:n] {
		id := can.FormatID(f.ID, f.Is(can.Extended))
		message := drive.Model().Message(f.ID, f.Is(can.Extended))
		at := time.Unix(0, f.Time).UTC().Format("15:04:05.000000")
		signal := &message.Signals[0]
		fmt.Printf("%s %s %s#%X %s %v\n", at, drive.Buses()[f.Bus], id, f.Payload(), signal.Name, signal.Physical(signal.Raw(&f)))
	}
	// Output:
	// 06:30:00.000369 can0 0CFF1021#007D000000360000 SummaryEngineSpeed 0
	// 06:30:00.000617 can0 0F8#2400360000000000 PowertrainIgnition 0
	// 06:30:00.000857 can0 120#0300F10341000000 ThrottleAngle 0.30000000000000004
}
