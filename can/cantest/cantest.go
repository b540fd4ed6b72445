// Package cantest makes CAN traffic up for tests, benchmarks and demos: the
// drive of a demo vehicle with its DBC, a benchmark workload, arbitrary frames,
// and a bus in memory.
//
// Everything is a function of its options and its seed: the same bytes on every
// machine and in every release. A change of what Drive generates is a change of
// the golden hashes in the tests.
//
// The package knows nothing of the decoders under test. It packs payloads with
// go.einride.tech/can and writes DBC text by itself, so that it can serve as
// their opposite number.
package cantest
