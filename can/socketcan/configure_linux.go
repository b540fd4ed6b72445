package socketcan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"go.einride.tech/can/pkg/candevice"
	"golang.org/x/sys/unix"
)

// Configure brings an interface up as o says, and sets only what differs: one that
// is as it should be is not touched, so that frames go on coming. What can only be
// set while an interface is down takes it down for a moment. It needs CAP_NET_ADMIN
// where there is something to do.
//
// A setting that the controller does not have is an error. Interfaces that are no
// controllers (vcan, vxcan) have no bit rates, and nothing to be kept from
// disturbing.
func Configure(name string, o LinkOptions) error {
	link, err := ReadLink(name)
	if err != nil {
		return explain(name, "", err)
	}
	c := &configuration{name: name, link: link, o: o}
	return c.apply()
}

// Restart restarts a controller that is in bus-off: by the driver, or by taking the
// interface down and up where the driver can't. It needs CAP_NET_ADMIN.
func Restart(name string) error {
	link, err := ReadLink(name)
	if err != nil {
		return explain(name, "", err)
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, link.Kind)
		info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
			data.Uint32(unix.IFLA_CAN_RESTART, 1)
			return nil
		})
		return nil
	})
	if err = link.change(attributes); errors.Is(err, unix.EOPNOTSUPP) {
		c := &configuration{name: name, link: link}
		if err = c.setUp(false); err == nil {
			err = c.setUp(true)
		}
	}
	return explain(name, "restarting it", err)
}

// change sends new attributes for the interface.
func (l *Link) change(attributes *netlink.AttributeEncoder) error {
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(l.Index))
	_, err := execute(unix.RTM_NEWLINK, body, attributes)
	return err
}

// configuration is an interface on its way to what it should be.
type configuration struct {
	name string
	link Link
	o    LinkOptions
	down bool // it was taken down, or is down
}

func (c *configuration) apply() error {
	c.down = !c.link.Up
	if c.link.Kind == "can" {
		if err := c.applyController(); err != nil {
			return err
		}
	} else if err := c.applyVirtual(); err != nil {
		return err
	}
	if n := c.o.TxQueueLen; n > 0 && n != c.link.TxQueueLen {
		attributes := netlink.NewAttributeEncoder()
		attributes.Uint32(unix.IFLA_TXQLEN, uint32(n))
		if err := c.link.change(attributes); err != nil {
			return explain(c.name, fmt.Sprintf("setting the transmit queue to %d frames", n), err)
		}
	}
	if c.down {
		return explain(c.name, "bringing it up", c.setUp(true))
	}
	return nil
}

// applyController sets bit rates and modes in one message, which the driver checks
// as a whole.
func (c *configuration) applyController() error {
	want, about := c.o.modes()
	if missing := want &^ c.link.Supported; c.link.HasSupported && missing != 0 {
		return c.unsupportedModes(missing)
	}
	modesDiffer := c.link.Modes&about != want
	timingDiffers := c.o.Bitrate != 0 && !(closeTo(c.link.Bitrate, c.o.Bitrate, c.o.Bitrate/100) && samplePointFits(c.link.SamplePoint, c.o.SamplePoint))
	dataDiffers := c.o.DataBitrate != 0 && !(closeTo(c.link.DataBitrate, c.o.DataBitrate, c.o.DataBitrate/100) && samplePointFits(c.link.DataSamplePoint, c.o.DataSamplePoint))
	restartDiffers := c.o.Restart > 0 && c.o.Restart.Truncate(time.Millisecond) != c.link.Restart
	if c.link.Bitrate == 0 && c.o.Bitrate == 0 {
		return fmt.Errorf("interface %s: no bit rate is set, and a wrong one disturbs the bus: configure the bus's bit rate, such as 500000", c.name)
	}
	if c.o.fd() && c.o.DataBitrate == 0 && c.link.DataBitrate == 0 {
		return fmt.Errorf("interface %s: CAN FD needs a bit rate for its data, and none is set: configure the bus's, such as 2000000", c.name)
	}
	if !(modesDiffer || timingDiffers || dataDiffers || restartDiffers) {
		return nil
	}
	if err := c.takeDown(); err != nil {
		return err
	}
	if modesDiffer || timingDiffers || dataDiffers {
		err := c.changeController(func(data *netlink.AttributeEncoder) {
			if c.o.Bitrate != 0 {
				data.Bytes(unix.IFLA_CAN_BITTIMING, bitTiming(c.o.Bitrate, c.o.SamplePoint))
			}
			if c.o.DataBitrate != 0 {
				data.Bytes(unix.IFLA_CAN_DATA_BITTIMING, bitTiming(c.o.DataBitrate, c.o.DataSamplePoint))
			}
			// Only the modes that differ: some drivers refuse the others even to
			// hear that they are to be off.
			mask := binary.NativeEndian.AppendUint32(nil, uint32((c.link.Modes^want)&about))
			data.Bytes(unix.IFLA_CAN_CTRLMODE, binary.NativeEndian.AppendUint32(mask, uint32(want)))
		})
		if err != nil {
			return explain(c.name, "setting "+c.o.words(), err)
		}
	}
	if restartDiffers {
		err := c.changeController(func(data *netlink.AttributeEncoder) {
			data.Uint32(unix.IFLA_CAN_RESTART_MS, uint32(min(c.o.Restart.Milliseconds(), 1<<31)))
		})
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fmt.Errorf("interface %s: %w", c.name, errNoRestart)
		}
		if err != nil {
			return explain(c.name, fmt.Sprintf("setting the restart after bus-off to %v", c.o.Restart), err)
		}
	}
	return nil
}

func (c *configuration) changeController(encode func(data *netlink.AttributeEncoder)) error {
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, c.link.Kind)
		info.Nested(unix.IFLA_INFO_DATA, func(data *netlink.AttributeEncoder) error {
			encode(data)
			return nil
		})
		return nil
	})
	return c.link.change(attributes)
}

// applyVirtual serves interfaces without a controller: all they have is a size of
// frames.
func (c *configuration) applyVirtual() error {
	if c.o.Bitrate != 0 || c.o.DataBitrate != 0 || c.o.SamplePoint != 0 || c.o.DataSamplePoint != 0 || c.o.OneShot || c.o.BusErrorReporting || c.o.Restart != 0 {
		return fmt.Errorf("interface %s is of kind %s, which has no bit rate, sample point, modes or restart: leave them out of its configuration: %w", c.name, c.link.Kind, errors.ErrUnsupported)
	}
	if !c.o.FD || c.link.MTU >= fdSize {
		return nil
	}
	if err := c.takeDown(); err != nil {
		return err
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.Uint32(unix.IFLA_MTU, fdSize)
	return explain(c.name, "making room for CAN FD", c.link.change(attributes))
}

func (c *configuration) takeDown() error {
	if c.down {
		return nil
	}
	if err := c.setUp(false); err != nil {
		return explain(c.name, "taking it down to set it", err)
	}
	c.down = true
	return nil
}

// setUp brings the interface up or down.
func (c *configuration) setUp(up bool) error {
	device, err := candevice.New(c.name)
	if err != nil {
		return shorter(err)
	}
	if up {
		return shorter(device.SetUp())
	}
	return shorter(device.SetDown())
}

// bitTiming is struct can_bittiming, eight words, with what is asked for; the rest
// is for the kernel to compute.
func bitTiming(bitrate, samplePoint uint32) []byte {
	b := make([]byte, 8*4)
	binary.NativeEndian.PutUint32(b, bitrate)
	binary.NativeEndian.PutUint32(b[4:], samplePoint)
	return b
}

// samplePointFits says whether a sample point is what was asked for, as nearly as
// time quanta allow.
func samplePointFits(is, asked uint32) bool { return asked == 0 || closeTo(is, asked, 20) }

func closeTo(a, b, by uint32) bool { return max(a, b)-min(a, b) <= by }
