//go:build synctests && exact

package main

// exact says that this is built with the overlay of deploy/chaos.
const exact = true
