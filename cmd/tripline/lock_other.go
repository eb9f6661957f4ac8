//go:build !unix

package main

import "os"

// lockFile opens a file; where there is no flock, only the state's own lock keeps a second process away.
func lockFile(name string) (*os.File, error) { return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644) }
