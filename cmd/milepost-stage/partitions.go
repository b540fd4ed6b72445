package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

const sectorSize = 512

// partitionTable is the first sector of a disk; firmware/image, which writes it,
// has its layout.
type partitionTable [sectorSize]byte

// signature is the disk's; false if this is no partition table.
func (t *partitionTable) signature() (uint32, bool) {
	return binary.LittleEndian.Uint32(t[440:]), t[510] == 0x55 && t[511] == 0xaa
}

// grow makes a partition, by its number from 0, end at the end of a disk of so many
// sectors, less what does not fill 4 MiB. It says whether it has.
func (t *partitionTable) grow(number int, sectors int64) bool {
	const alignment = 4 << 20 / sectorSize
	sectors = min(sectors, 1<<32-1) / alignment * alignment
	entry := t[446+16*number:][:16]
	first, count := int64(binary.LittleEndian.Uint32(entry[8:])), int64(binary.LittleEndian.Uint32(entry[12:]))
	if count == 0 || first+count >= sectors {
		return false
	}
	binary.LittleEndian.PutUint32(entry[12:], uint32(sectors-first))
	return true
}

// partitionName is the device of a partition: /dev/sda4, /dev/mmcblk0p4.
func partitionName(disk string, number int) string {
	if last := disk[len(disk)-1]; last >= '0' && last <= '9' {
		disk += "p"
	}
	return disk + strconv.Itoa(number)
}

// signatureWord is the kernel's parameter that says which disk is meant.
const signatureWord = "milepost.disk="

func readSignature(file string) (uint32, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for word := range strings.FieldsSeq(string(text)) {
		if value, ok := strings.CutPrefix(word, signatureWord); ok {
			n, err := strconv.ParseUint(value, 16, 32)
			if err != nil {
				return 0, fmt.Errorf("the kernel's parameter %s: %w", word, err)
			}
			return uint32(n), nil
		}
	}
	return 0, errors.New("the kernel's parameters have no " + signatureWord + ": cmdline.txt of the boot partition is not the image's")
}
