package outbox

import (
	"encoding/binary"

	"github.com/tripline/tripline/state"
)

// batchKey is the key of what is known of a batch: part 0, how many of its members have not left it; part 1, their keys.
func batchKey(batch string, part uint32) state.Key {
	return state.Key{ID: string(batchRow) + batch, Part: part}
}

// Bind notes which deliveries are a batch. That their Batch is its name has to be saved beside.
func (b *Book) Bind(batch string, keys []string) {
	b.put(state.Row{Key: batchKey(batch, 0), Content: binary.AppendUvarint([]byte{format}, uint64(len(keys)))})
	b.put(state.Row{Key: batchKey(batch, 1), Content: appendKeys(nil, keys)})
}

// Members are the keys of the deliveries that were bound, those that have left since included.
func (b *Book) Members(batch string) ([]string, error) {
	content, found, err := b.get(batchKey(batch, 1))
	if !found || err != nil {
		return nil, err
	}
	return decodeKeys(batch, content)
}

// Unbind says that a delivery leaves its batch. The last one ends it.
func (b *Book) Unbind(batch string) error {
	content, found, err := b.get(batchKey(batch, 0))
	if !found || err != nil {
		return err
	}
	r := reader{rest: content}
	r.format()
	left := r.uvarint()
	if err := r.end(batchRow, batch); err != nil {
		return err
	}
	if left > 1 {
		b.put(state.Row{Key: batchKey(batch, 0), Content: binary.AppendUvarint([]byte{format}, left-1)})
		return nil
	}
	b.put(state.Row{Key: batchKey(batch, 0)})
	b.put(state.Row{Key: batchKey(batch, 1)})
	return nil
}
