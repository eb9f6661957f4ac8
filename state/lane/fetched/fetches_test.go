package fetched

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What grows much when it is unpacked is fetched in smaller pieces, down to a bound, and what does not again in larger ones.
func TestFetchesOfWhatGrows(t *testing.T) {
	client, err := kgo.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	f := New(4<<20, 512<<10, nil)
	f.Of(client)
	for _, step := range []struct {
		came, became, times int
		whole, partition    int32
	}{
		{100 << 10, 300 << 10, 5, 4 << 20, 512 << 10},
		{100 << 10, 1600 << 10, 50, 1 << 20, 128 << 10},
		{1 << 10, 100 << 10, 20_000, 160 << 10, 20 << 10},
		{100, 10_000 << 10, 40_000, leastWhole, leastFetch},
		{100 << 10, 100 << 10, 200, 4 << 20, 512 << 10},
	} {
		for range step.times {
			f.OnFetchBatchRead(kgo.BrokerMetadata{}, "in", 0, kgo.FetchBatchMetrics{CompressedBytes: step.came, UncompressedBytes: step.became})
		}
		got := []int32{client.OptValue(kgo.FetchMaxBytes).(int32), client.OptValue(kgo.FetchMaxPartitionBytes).(int32)}
		near := func(a, b int32) bool { return a >= b-b/20 && a <= b+b/20 }
		if !near(got[0], step.whole) || !near(got[1], step.partition) {
			t.Errorf("%d bytes become %d: %v are fetched, expected %v", step.came, step.became, got, []int32{step.whole, step.partition})
		}
	}
}

// TestPools has memory of a size found again by who needs no more, and little more than that taken.
func TestPools(t *testing.T) {
	for n := 1; n < 1<<20; n += 1 + n/7 {
		class, size := atLeast(n)
		if size < n || size > max(4, n+n/4+1) || within(size) != class || within(size+size/8) != class {
			t.Fatalf("%d: class %d of %d", n, class, size)
		}
	}
	var p pool[byte]
	piece, kept := p.take(300)
	if cap(piece) < 300 || cap(piece) > 376 || kept != 0 {
		t.Errorf("%d bytes for 300, %d of them kept", cap(piece), kept)
	}
	if n := p.put(piece); n != int64(cap(piece)) {
		t.Errorf("%d bytes are kept of %d", n, cap(piece))
	}
	if again, kept := p.take(290); kept != int64(cap(piece)) || &again[:1][0] != &piece[:1][0] {
		t.Error("what was put back is not taken again")
	}
	if n := p.put(nil); n != 0 {
		t.Errorf("%d bytes are kept of nothing", n)
	}
	p.put(make([]byte, 0, 64))
	p.put(make([]byte, 0, 4096))
	if large, small, none := p.drop(), p.drop(), p.drop(); large != 4096 || small != 64 || none != 0 {
		t.Errorf("dropped %d, %d, %d", large, small, none)
	}
}

// TestUnpacked reads of batches how large they are.
func TestUnpacked(t *testing.T) {
	for n := 10; n < 3<<20; n *= 3 {
		batch := []byte(strings.Repeat("0123456789", n/10+1))[:n]
		for _, codec := range []kgo.CompressionCodec{kgo.SnappyCompression(), kgo.ZstdCompression(), kgo.Lz4Compression(), kgo.GzipCompression()} {
			compressor, err := kgo.DefaultCompressor(codec)
			if err != nil {
				t.Fatal(err)
			}
			compressed, which := compressor.Compress(new(bytes.Buffer), batch)
			size, known := unpacked(compressed, which)
			if known && size != n || !known && (which == kgo.CodecSnappy || which == kgo.CodecZstd && n > 256) {
				t.Errorf("%d bytes in codec %d: %d, known: %t", n, which, size, known)
			}
		}
	}
	for frame, codec := range map[string]kgo.CompressionCodecType{
		"\x82SNAPPY\x00\x00\x00\x00\x01\x00\x00\x00\x01": kgo.CodecSnappy, "": kgo.CodecSnappy, "\x28\xb5\x2f\xfd": kgo.CodecZstd,
		"\x28\xb5\x2f\xfd\x00\x58 and so on, and on": kgo.CodecZstd, "\x28\xb5\x2f\xfc\xff\x58 and so on, and on": kgo.CodecZstd,
	} {
		if size, known := unpacked([]byte(frame), codec); known {
			t.Errorf("%q says that it has %d bytes", frame, size)
		}
	}
	if size, known := unpacked([]byte("\x28\xb5\x2f\xfd\xc0\x58\xff\xff\xff\xff\xff\xff\xff\xff and so on"), kgo.CodecZstd); !known || size != mostUnpacked {
		t.Errorf("what lies is believed: %d, known: %t", size, known)
	}
}
