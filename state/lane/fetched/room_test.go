//go:build synctests

package fetched

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// unpack is a batch that takes as much as was expected.
func (p *Place) unpack(bytes int64) {
	p.enter(bytes, 0)
	p.entered(bytes)
}

// TestRoom has many clients unpack at once what only a few of them have room for. Each unpacks more while it applies.
func TestRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := NewRoom(1000)
		var all sync.WaitGroup
		for range 12 {
			p := room.NewPlace(100)
			all.Go(func() {
				defer p.Close()
				for range 50 {
					p.Done()
					p.unpack(300)
					p.Polled()
					if used := room.Used(); used > 1000 {
						t.Errorf("%d bytes in a room of 1000", used)
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		began := time.Now()
		all.Wait()
		if took := time.Since(began); took > 300*time.Millisecond || room.Used() != 0 {
			t.Errorf("took %s, where three at a time would be done in 200ms; %d bytes are still used", took, room.Used())
		}
	})
}

// TestRoomForOne lets a batch in alone that is larger than the room, and the others of its response with it. Of two that have come in half
// one gets the rest.
func TestRoomForOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := NewRoom(1000)
		large, other := room.NewPlace(2), room.NewPlace(2)
		large.unpack(5000)
		large.unpack(100)
		came := make(chan struct{}, 2)
		go func() {
			other.unpack(600)
			came <- struct{}{}
		}()
		synctest.Wait()
		if room.Used() != 5100 {
			t.Errorf("%d bytes are used", room.Used())
		}
		large.Polled()
		large.Done()
		<-came
		if used := room.Used(); used != 600 {
			t.Errorf("%d bytes are used", used)
		}
		large.unpack(300)
		large.unpack(300)
		go func() {
			other.unpack(300)
			came <- struct{}{}
		}()
		synctest.Wait()
		if used := room.Used(); used != 1200 {
			t.Errorf("%d bytes are used", used)
		}
		large.Polled()
		synctest.Wait()
		if used := room.Used(); used != 1500 {
			t.Errorf("%d bytes are used", used)
		}
	})
}

// TestRoomOfOneWhoIsStuck keeps nobody out for ever: not those with little, and the others for as long as patience lasts.
func TestRoomOfOneWhoIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := NewRoom(1000)
		stuck, p := room.NewPlace(5), room.NewPlace(5)
		stuck.unpack(990)
		stuck.Polled()
		began := time.Now()
		p.unpack(100) // its least
		if took := time.Since(began); took != 0 {
			t.Errorf("one with little has waited for %s", took)
		}
		p.Polled()
		p.Done()
		p.unpack(500)
		if took := time.Since(began); took != patience {
			t.Errorf("one with much has waited for %s", took)
		}
		p.Polled()
		p.Done()
		go func() { // another one gets on all the time
			busy := room.NewPlace(5)
			for range 100 {
				busy.unpack(10)
				busy.Polled()
				time.Sleep(patience / 2)
				busy.Done()
			}
		}()
		synctest.Wait()
		began = time.Now()
		p.unpack(500)
		if took := time.Since(began); took < mostPatience || took > mostPatience+patience {
			t.Errorf("one with much has waited for %s while another got on", took)
		}
		p.Close()
		stuck.Close()
		time.Sleep(100 * patience)
	})
}

// TestRoomIsLeft lets nobody wait in a place that was closed, and counts nothing of it.
func TestRoomIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		room := NewRoom(1000)
		full, p := room.NewPlace(2), room.NewPlace(2)
		full.unpack(1000)
		go p.Close()
		p.enter(900, 0)
		p.entered(950)
		full.Close()
		if used := room.Used(); used != 0 {
			t.Errorf("%d bytes are used", used)
		}
	})
}

// TestRoomKeeps has memory used again where there is room for it.
func TestRoomKeeps(t *testing.T) {
	room := NewRoom(1000)
	f, other := New(1000, 1000, room.NewPlace(1)), room.NewPlace(1)
	b := f.enter(400, 400)
	f.entered(400)
	f.Polled()
	f.PutDecompressBytes(b)
	if room.used != 0 || room.kept != int64(cap(b)) {
		t.Fatalf("%d bytes are used and %d kept of %d", room.used, room.kept, cap(b))
	}
	again := f.enter(400, 400)
	f.entered(400)
	if &again[:1][0] != &b[:1][0] || room.kept != 0 {
		t.Errorf("other memory is taken than that which is kept, and %d bytes are", room.kept)
	}
	f.Polled()
	f.PutDecompressBytes(again)
	other.unpack(900)
	if room.kept != 0 {
		t.Errorf("%d bytes are kept beside 900 that are used of 1000", room.kept)
	}
}
