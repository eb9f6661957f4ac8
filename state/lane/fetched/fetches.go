package fetched

import (
	"bytes"
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// UsualGrowth is by how much fetched records may grow when they are unpacked before less is fetched at a time.
	UsualGrowth = 4
	// leastFetch is how much of a partition is fetched however much it grows, and leastWhole how much of all. A batch always comes whole.
	// Of a fetch that is full kfake does not tell which transactions were aborted, so that is not what bounds it.
	leastFetch = 1 << 10
	leastWhole = 64 << 10
	// mostExpected is how much memory is taken for a batch by what others have grown to, where that is more than usual and it does not say
	// itself.
	mostExpected = 1 << 20
	// mostUnpacked is what is believed of a batch's own word.
	mostUnpacked = 64 << 20
	// recordSize is about what a record takes beside its bytes: in the client, and where it waits to be applied.
	recordSize = int64(unsafe.Sizeof(kgo.Record{})) + 48
)

// Fetches are those of one client: how much it fetches at a time, and in which memory.
type Fetches struct {
	*Place
	client           atomic.Pointer[kgo.Client] // nil: it is being made
	whole, partition int32                      // bytes to be fetched of what grows as usual

	late         sync.Mutex
	came, became int          // bytes of late, before and after
	growth       atomic.Int64 // by how many sixteenths of its size a batch is expected to grow; 0: not known
}

// New bounds what a client fetches at a time: of all partitions and of each one, in bytes as they are sent. Where place is not nil, batches
// wait for room there before they are unpacked.
func New(whole, partition int32, place *Place) *Fetches {
	if place == nil {
		place = new(Place)
	}
	return &Fetches{Place: place, whole: whole, partition: partition}
}

// Options are for the client, and for nothing else than fetching.
func (f *Fetches) Options() []kgo.Opt {
	whole, partition := f.whole, f.partition
	if f.room != nil { // one batch, until it is known how much they grow
		whole, partition = min(whole, leastWhole), min(partition, leastFetch)
	}
	return []kgo.Opt{kgo.FetchMaxBytes(whole), kgo.FetchMaxPartitionBytes(partition), kgo.WithHooks(f)}
}

// Of tells which client these are the fetches of.
func (f *Fetches) Of(client *kgo.Client) { f.client.Store(client) }

// OnFetchBatchRead notes what a batch takes, and how much it has grown.
func (f *Fetches) OnFetchBatchRead(_ kgo.BrokerMetadata, _ string, _ int32, m kgo.FetchBatchMetrics) {
	f.entered(int64(m.UncompressedBytes) + int64(m.NumRecords)*recordSize)
	f.late.Lock()
	defer f.late.Unlock()
	f.came, f.became = f.came+m.CompressedBytes, f.became+m.UncompressedBytes
	if f.came > 1<<20 { // what is long ago counts less and less
		f.came, f.became = f.came/2, f.became/2
	}
	by := max(UsualGrowth, float64(f.became)/float64(max(1, f.came)))
	f.growth.Store(1 + 20*int64(f.became)/int64(max(1, f.came))) // a quarter more: they differ
	if client := f.client.Load(); client != nil {
		less := func(most, least int32) int32 { return max(min(most, least), int32(float64(most)*UsualGrowth/by)) }
		client.UpdateFetchMaxBytes(less(f.whole, leastWhole), less(f.partition, leastFetch))
	}
}

// GetDecompressBytes answers with memory for a batch, as soon as there is room for it.
func (f *Fetches) GetDecompressBytes(compressed []byte, codec kgo.CompressionCodecType) []byte {
	size, known := unpacked(compressed, codec)
	expected := int64(size)
	if usual := UsualGrowth * int64(len(compressed)); !known {
		growth := f.growth.Load()
		expected = min(usual*growth/UsualGrowth/16, max(mostExpected, usual))
		if size = int(expected); growth == 0 {
			size, expected = int(usual), max(mostExpected, usual)
		}
	}
	return f.enter(expected+expected/2, size) // records are small, mostly
}

// PutDecompressBytes takes memory back.
func (f *Fetches) PutDecompressBytes(b []byte) {
	if r := f.room; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		f.free(bytesOf(b))
		if r.used+r.kept+bytesOf(b) <= r.size {
			r.kept += r.bytes.put(b)
		}
	}
}

// GetRecords answers with memory for n records.
func (f *Fetches) GetRecords(n int) []kgo.Record {
	r := f.room
	if r == nil {
		return make([]kgo.Record, 0, n)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	records, kept := r.records.take(n)
	r.kept -= kept
	return records
}

// PutRecords takes memory back.
func (f *Fetches) PutRecords(records []kgo.Record) {
	if r := f.room; r != nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		f.free(int64(cap(records)) * recordSize)
		if r.used+r.kept+bytesOf(records) <= r.size {
			r.kept += r.records.put(records)
		}
	}
}

// unpacked is the size of a batch, where it begins with it.
func unpacked(compressed []byte, codec kgo.CompressionCodecType) (size int, known bool) {
	switch codec {
	case kgo.CodecSnappy:
		n, width := binary.Uvarint(compressed)
		blocks := bytes.HasPrefix(compressed, []byte("\x82SNAPPY")) // as Java writes it: each has its own
		return int(min(n, mostUnpacked)), width > 0 && !blocks
	case kgo.CodecZstd:
		n, known := zstdSize(compressed)
		return int(min(n, mostUnpacked)), known
	}
	return 0, false
}

// zstdSize is what the header of a frame says (RFC 8878, 3.1.1.1).
func zstdSize(frame []byte) (size uint64, known bool) {
	if len(frame) < 18 || binary.LittleEndian.Uint32(frame) != 0xFD2FB528 {
		return 0, false
	}
	flags, at := frame[4], 5
	single := flags&(1<<5) != 0
	if !single {
		at++ // the window
	}
	at += [...]int{0, 1, 2, 4}[flags&3] // of a dictionary
	switch rest := frame[at:]; flags >> 6 {
	case 0:
		return uint64(rest[0]), single
	case 1:
		return uint64(binary.LittleEndian.Uint16(rest)) + 256, true
	case 2:
		return uint64(binary.LittleEndian.Uint32(rest)), true
	default:
		return binary.LittleEndian.Uint64(rest), true
	}
}
