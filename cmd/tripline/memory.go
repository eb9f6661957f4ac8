package main

import (
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/tripline/tripline/config"
	"github.com/tripline/tripline/state"
)

// programBytes is what the program itself takes: its pages as they are read from its file, stacks, and what is not counted anywhere.
const programBytes = 44 << 20

// shared is what parts of memory are taken from. At 512MiB that is all of it; the less there is, the more of it the program and its clients
// take themselves.
func shared(memory config.Size) int64 {
	const usual, taken = 512 << 20, 64 << 20
	return max(8<<20, min(int64(memory), (int64(memory)-taken)*usual/(usual-taken)))
}

// leastMemory is with how little a process keeps to its memory that runs so many lanes, as measured: each has clients, and a cycle, of its own.
func leastMemory(lanes int) config.Size {
	const step = 32 << 20
	return (64<<20 + config.Size(lanes)*4<<20 + step - 1) / step * step
}

// crowded says that memory may not be kept to with so many lanes; "": it is.
func crowded(memory config.Size, lanes int) string {
	least := leastMemory(lanes)
	if memory >= least {
		return ""
	}
	return fmt.Sprintf("memory: %s may not be kept to by a process with %s: it takes %s, or more processes with fewer lanes each", memory, plural(lanes, "lane"), least)
}

// lanes is how many there are, by what is known of the topics; 0: that is not known.
func (cfg *loaded) lanes(topics []topicReport) int {
	if cfg.Lanes > 0 {
		return cfg.Lanes
	}
	for _, t := range topics {
		if slices.Contains(cfg.Topics.Events, t.Name) {
			return min(t.Partitions, 48)
		}
	}
	return 0
}

// limitMemory has the collector keep the heap within what a store leaves of the process's memory. Built with cgo, a store takes
// its part outside of the heap.
func limitMemory(memory config.Size, disk state.Config) {
	limit := min(int64(memory)/20*17, int64(memory)-programBytes) // the rest is also the pages that the heap has let go of
	if build, ok := debug.ReadBuildInfo(); ok && slices.Contains(build.Settings, debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}) {
		limit -= disk.OffHeap()
	}
	debug.SetMemoryLimit(max(limit, 8<<20))
}
