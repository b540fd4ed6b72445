package socketcan

import (
	"cmp"
	"container/heap"
	"math/bits"
	"slices"
	"sort"

	"milepost/can"
)

// Filter lets data frames pass whose can_id is ID in the bits of Mask. Both
// have the flag bits of linux/can.h above the arbitration ID.
type Filter struct {
	ID, Mask uint32
	// Wide says that CompileFilters had to join IDs, and that others than the
	// wanted ones pass, too.
	Wide bool
}

// Flag bits of a can_id.
const (
	extendedFlag = 1 << 31
	remoteFlag   = 1 << 30
	errorFlag    = 1 << 29
	errorMask    = 1<<29 - 1
)

// Matches reports whether a frame's can_id passes.
func (f Filter) Matches(canID uint32) bool { return canID&f.Mask == f.ID&f.Mask }

// Wanted are arbitration IDs that somebody wants to have.
type Wanted struct {
	ID       uint32
	Extended bool
	// Mask has the bits of ID that count; zero means all of them.
	Mask uint32
}

// WantPGN wants a J1939 parameter group from whomever, to whomever: the data
// pages, the PDU format and, from format 240 on, the group extension count
// (SAE J1939-21, 5.1.2).
func WantPGN(pgn uint32) Wanted {
	w := Wanted{ID: pgn & 0x3FFFF << 8, Extended: true, Mask: 0x3FFFF00}
	if pgn>>8&0xFF < 240 {
		w.Mask = 0x3FF0000
		w.ID &= w.Mask
	}
	return w
}

// maxFilters is the kernel's limit for one socket, CAN_RAW_FILTER_MAX.
const maxFilters = 512

// CompileFilters makes kernel filters that let all the wanted frames pass, and
// no remote frames. IDs that another of the wanted covers need none. Up to 512
// filters let nothing else pass, and the kernel finds those for one ID by a table,
// whatever their number. If there are more, which is the kernel's limit, neighbours
// are joined, those first that let the smallest share of all IDs of their kind
// in; such filters are Wide unless their IDs fill them.
func CompileFilters(ids []Wanted) []Filter {
	filters := make([]Filter, 0, len(ids))
	for _, w := range ids {
		filters = append(filters, w.filter())
	}
	return join(reduce(filters), maxFilters)
}

func (w Wanted) filter() Filter {
	f := Filter{ID: w.ID & can.MaxStandardID, Mask: can.MaxStandardID}
	if w.Extended {
		f = Filter{ID: w.ID&can.MaxExtendedID | extendedFlag, Mask: can.MaxExtendedID}
	}
	if w.Mask != 0 {
		f.Mask &= w.Mask
	}
	// With both flags in the mask the kernel files filters for one ID in a table.
	f.Mask |= extendedFlag | remoteFlag
	f.ID &= f.Mask
	return f
}

// covers reports whether all that passes g passes f.
func (f Filter) covers(g Filter) bool { return f.Mask&^g.Mask == 0 && f.Matches(g.ID) }

// free is how many bits of the arbitration ID a filter leaves open.
func (f Filter) free() int {
	mask := uint32(can.MaxStandardID)
	if f.ID&extendedFlag != 0 {
		mask = can.MaxExtendedID
	}
	return bits.OnesCount32(mask &^ f.Mask)
}

// reduce sorts filters by kind and ID and takes out those that others cover.
func reduce(filters []Filter) []Filter {
	// Wider ones first, so that what is kept cannot be covered by what follows.
	sort.Slice(filters, func(i, j int) bool {
		f, g := filters[i], filters[j]
		return cmp.Or(cmp.Compare(g.free(), f.free()), cmp.Compare(f.ID, g.ID), cmp.Compare(f.Mask, g.Mask)) < 0
	})
	filters = slices.Compact(filters)
	kept := filters[:0]
	var masks []Filter // those of them that are for more than one ID
	for _, f := range filters {
		if slices.ContainsFunc(masks, func(g Filter) bool { return g.covers(f) }) {
			continue
		}
		kept = append(kept, f)
		if f.free() > 0 {
			masks = append(masks, f)
		}
	}
	sort.Slice(kept, func(i, j int) bool {
		return cmp.Or(cmp.Compare(kept[i].ID, kept[j].ID), cmp.Compare(kept[i].Mask, kept[j].Mask)) < 0
	})
	return kept
}

// join joins neighbours among sorted filters until no more than limit are left.
func join(filters []Filter, limit int) []Filter {
	left := len(filters)
	if left <= limit {
		return filters
	}
	next, previous, gone := make([]int, left), make([]int, left), make([]bool, left)
	for i := range filters {
		next[i], previous[i] = i+1, i-1
	}
	next[left-1] = -1
	version := make([]int, left) // of a filter, so that old pairs are recognised
	pairs := &pairHeap{}
	offer := func(i int) {
		if i < 0 || next[i] < 0 {
			return
		}
		j := next[i]
		if joined, cost, ok := joinPair(filters[i], filters[j]); ok {
			heap.Push(pairs, pair{i, j, version[i], version[j], joined, cost})
		}
	}
	for i := range filters {
		offer(i)
	}
	for left > limit && pairs.Len() > 0 {
		p := heap.Pop(pairs).(pair)
		if gone[p.i] || gone[p.j] || version[p.i] != p.versionI || version[p.j] != p.versionJ {
			continue
		}
		filters[p.i] = p.joined
		version[p.i]++
		gone[p.j] = true
		next[p.i] = next[p.j]
		if next[p.j] >= 0 {
			previous[next[p.j]] = p.i
		}
		left--
		offer(previous[p.i])
		offer(p.i)
	}
	rest := make([]Filter, 0, left)
	for i, f := range filters {
		if !gone[i] {
			rest = append(rest, f)
		}
	}
	return reduce(rest) // a joined filter may cover one that is no neighbour
}

// joinPair gives the narrowest filter that covers two of a kind, and the share
// of all IDs of their kind that it lets in beyond theirs.
func joinPair(f, g Filter) (joined Filter, cost float64, ok bool) {
	if (f.ID^g.ID)&extendedFlag != 0 {
		return joined, 0, false
	}
	joined.Mask = f.Mask & g.Mask &^ (f.ID ^ g.ID)
	joined.ID = f.ID & joined.Mask
	own := uint64(1)<<f.free() + uint64(1)<<g.free()
	if overlap := f.Mask & g.Mask; f.ID&overlap == g.ID&overlap { // they share some IDs
		own -= 1 << Filter{ID: f.ID, Mask: f.Mask | g.Mask}.free()
	}
	added := uint64(1)<<joined.free() - own
	joined.Wide = f.Wide || g.Wide || added > 0
	all := uint64(1) << 11
	if f.ID&extendedFlag != 0 {
		all = 1 << 29
	}
	return joined, float64(added) / float64(all), true
}

// pair are two neighbours that may be joined.
type pair struct {
	i, j, versionI, versionJ int
	joined                   Filter
	cost                     float64
}

// pairHeap has the cheapest pair on top, and the first among equals.
type pairHeap []pair

func (h pairHeap) Len() int { return len(h) }
func (h pairHeap) Less(a, b int) bool {
	return cmp.Or(cmp.Compare(h[a].cost, h[b].cost), cmp.Compare(h[a].i, h[b].i)) < 0
}
func (h pairHeap) Swap(a, b int) { h[a], h[b] = h[b], h[a] }
func (h *pairHeap) Push(p any)   { *h = append(*h, p.(pair)) }
func (h *pairHeap) Pop() any {
	last := len(*h) - 1
	p := (*h)[last]
	*h = (*h)[:last]
	return p
}
