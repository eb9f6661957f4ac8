package lane

import (
	"slices"
	"testing"
)

func TestPartitionsOf(t *testing.T) {
	if got := partitionsOf([]int32{0, 2}, 3, 8); !slices.Equal(got, []int32{0, 2, 3, 5, 6}) {
		t.Error(got)
	}
}
