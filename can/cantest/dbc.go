package cantest

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// DBC writes the Model as the text of a DBC file, in UTF-8. The ranges of the
// signals are those of their raw values.
func (m *Model) DBC() []byte {
	var w bytes.Buffer
	fmt.Fprint(&w, "VERSION \"\"\n\nNS_ :\n\tCM_\n\tBA_DEF_\n\tBA_\n\tVAL_\n\tBA_DEF_DEF_\n\tVAL_TABLE_\n\nBS_:\n\nBU_:")
	for _, node := range m.Nodes {
		fmt.Fprintf(&w, " %s", node.Name)
	}
	fmt.Fprint(&w, "\n\n")
	m.writeTables(&w)
	for i := range m.Messages {
		m.Messages[i].writeDBC(&w)
	}
	m.writeComments(&w)
	m.writeAttributes(&w)
	for i := range m.Messages {
		message := &m.Messages[i]
		for j := range message.Signals {
			if s := &message.Signals[j]; s.Table != nil {
				fmt.Fprintf(&w, "VAL_ %d %s", message.dbcID(), s.Name)
				s.Table.writeNames(&w)
			}
		}
	}
	return w.Bytes()
}

func (m *Model) writeTables(w *bytes.Buffer) {
	var written []*ValueTable
	for i := range m.Messages {
		for j := range m.Messages[i].Signals {
			t := m.Messages[i].Signals[j].Table
			if t == nil || slices.Contains(written, t) {
				continue
			}
			written = append(written, t)
			fmt.Fprintf(w, "VAL_TABLE_ %s", t.Name)
			t.writeNames(w)
		}
	}
	fmt.Fprintln(w)
}

func (t *ValueTable) writeNames(w *bytes.Buffer) {
	for raw, name := range t.Names {
		fmt.Fprintf(w, " %d %q", raw, name)
	}
	fmt.Fprint(w, " ;\n")
}

// dbcID is the identifier in a DBC, where bit 31 marks an extended one.
func (m *Message) dbcID() uint32 {
	if m.Extended {
		return m.ID | 1<<31
	}
	return m.ID
}

func (m *Message) writeDBC(w *bytes.Buffer) {
	fmt.Fprintf(w, "BO_ %d %s: %d %s\n", m.dbcID(), m.Name, m.Len, m.Sender)
	for i := range m.Signals {
		s := &m.Signals[i]
		multiplexor := ""
		switch {
		case s.Role == Selector:
			multiplexor = " M"
		case s.Group != NoGroup:
			multiplexor = " m" + strconv.Itoa(s.Group)
		}
		order, sign := 1, "+"
		if s.Motorola {
			order = 0
		}
		if s.Signed {
			sign = "-"
		}
		lo, hi := s.rawRange()
		fmt.Fprintf(w, " SG_ %s%s : %d|%d@%d%s (%s,%s) [%s|%s] %q Vector__XXX\n",
			s.Name, multiplexor, s.Start, s.Bits, order, sign, formatFactor(s.Factor), formatFactor(s.Offset),
			s.formatLimit(lo), s.formatLimit(hi), s.Unit)
	}
	fmt.Fprintln(w)
}

func (m *Model) writeComments(w *bytes.Buffer) {
	fmt.Fprintf(w, "CM_ %q;\n", m.Title)
	for _, node := range m.Nodes {
		if node.Comment != "" {
			fmt.Fprintf(w, "CM_ BU_ %s %q;\n", node.Name, node.Comment)
		}
	}
	for i := range m.Messages {
		message := &m.Messages[i]
		if message.Comment != "" {
			fmt.Fprintf(w, "CM_ BO_ %d %q;\n", message.dbcID(), message.Comment)
		}
		for j := range message.Signals {
			if s := &message.Signals[j]; s.Comment != "" {
				fmt.Fprintf(w, "CM_ SG_ %d %s %q;\n", message.dbcID(), s.Name, s.Comment)
			}
		}
	}
	fmt.Fprintln(w)
}

func (m *Model) writeAttributes(w *bytes.Buffer) {
	fmt.Fprint(w, `BA_DEF_ "BusType" STRING ;
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 65535;
BA_DEF_ BO_ "VFrameFormat" ENUM "StandardCAN","ExtendedCAN";
BA_DEF_DEF_ "BusType" "CAN";
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_DEF_DEF_ "VFrameFormat" "StandardCAN";
`)
	for i := range m.Messages {
		message := &m.Messages[i]
		fmt.Fprintf(w, "BA_ \"GenMsgCycleTime\" BO_ %d %d;\n", message.dbcID(), message.CycleMilliseconds)
		if message.Extended {
			fmt.Fprintf(w, "BA_ \"VFrameFormat\" BO_ %d 1;\n", message.dbcID())
		}
	}
	fmt.Fprintln(w)
}

func formatFactor(v float64) string { return strconv.FormatFloat(v, 'G', -1, 64) }

// formatLimit writes the physical value of a raw one in decimals, exactly.
func (s *Signal) formatLimit(raw int64) string {
	v, sign := raw*fixed(s.Factor)+fixed(s.Offset), ""
	if v < 0 {
		v, sign = -v, "-"
	}
	text := strconv.FormatInt(v/one, 10)
	if fraction := v % one; fraction != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%07d", fraction), "0")
	}
	return sign + text
}
