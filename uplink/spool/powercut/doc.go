// Package powercut proves what the spool promises about power cuts, on a real
// file system of a real kernel. There is nothing here but tests, and they run
// only in a kernel of their own: `make power`. docs/powercuts.md says what is
// cut and what must be there afterwards.
package powercut
