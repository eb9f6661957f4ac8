//go:build synctests && !exact

package main

const exact = false
