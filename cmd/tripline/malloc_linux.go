//go:build cgo

package main

// Pebble's blocks are outside of Go's heap. glibc takes them from an arena for each few threads, and what is free in one is no use to the
// others: of 75 MiB that makes 200 in R3, beyond what memory says. One arena is to do, from before the first thread on.

/*
#include <malloc.h>

#ifdef M_ARENA_MAX
__attribute__((constructor)) static void one_arena(void) { mallopt(M_ARENA_MAX, 1); }
#endif
*/
import "C"
