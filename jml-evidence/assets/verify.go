// Verifies evidence with Go's own transparency log packages and the standard library.
//
//	verify pack DIR VKEY              an auditor's pack
//	verify log DIR VKEY               a whole evidence folder, every entry
//	verify consistency OLD NEW PROOF VKEY   two checkpoints and a proof
//
// It shares no code with the program that made the evidence. With the Debian packages golang-go and
// golang-golang-x-mod-dev: GO111MODULE=off GOPATH=/usr/share/gocode go run verify.go ...
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func fail(format string, args ...interface{}) {
	fmt.Printf("FAIL  "+format+"\n", args...)
	os.Exit(1)
}

func must(err error, what string) {
	if err != nil {
		fail("%s: %v", what, err)
	}
}

func read(parts ...string) []byte {
	content, err := os.ReadFile(filepath.Join(parts...))
	must(err, "reading")
	return content
}

func hash(text string) tlog.Hash {
	raw, err := base64.StdEncoding.DecodeString(text)
	must(err, "a hash")
	if len(raw) != tlog.HashSize {
		fail("a hash of %d bytes", len(raw))
	}
	var out tlog.Hash
	copy(out[:], raw)
	return out
}

func open(signed []byte, vkey string) string {
	verifier, err := note.NewVerifier(strings.TrimSpace(vkey))
	must(err, "the key")
	opened, err := note.Open(signed, note.VerifierList(verifier))
	must(err, "the signature")
	return opened.Text
}

func checkpoint(signed []byte, vkey string) (string, int64, tlog.Hash) {
	lines := strings.Split(open(signed, vkey), "\n")
	if len(lines) != 4 {
		fail("a checkpoint of %d lines", len(lines)-1)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	must(err, "the size")
	return lines[0], size, hash(lines[2])
}

func pack(dir, vkey string) {
	signed := read(dir, "checkpoint")
	origin, size, root := checkpoint(signed, vkey)
	manifest := read(dir, "pack.json")
	digest := sha256.Sum256(manifest)
	want := fmt.Sprintf("jml-evidence/pack/v1\n%s\nsha-256:%s\n", origin, hex.EncodeToString(digest[:]))
	if open(read(dir, "pack.sig"), vkey) != want {
		fail("the signature is of another manifest")
	}
	var listed struct{ Files map[string]string }
	must(json.Unmarshal(manifest, &listed), "the manifest")
	records, count := 0, 0
	must(filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		name = filepath.ToSlash(name)
		if err != nil || name == "pack.json" || name == "pack.sig" || name == "statement.dsse.json" {
			return err
		}
		content := read(path)
		sum := sha256.Sum256(content)
		if listed.Files[name] != "sha-256:"+hex.EncodeToString(sum[:]) {
			fail("%s is not what the manifest names", name)
		}
		count++
		if strings.HasPrefix(name, "records/") {
			records++
			index := strings.TrimSuffix(strings.TrimPrefix(name, "records/"), ".json")
			included(read(dir, "proofs", index+".tlog-proof"), index, content, signed, size, root)
		}
		return nil
	}), "the files")
	if count != len(listed.Files) {
		fail("%d files, the manifest names %d", count, len(listed.Files))
	}
	fmt.Printf("ok    %s: %d files, %d records in the tree of %d\n", origin, count, records, size)
}

func included(proof []byte, index string, entry, signed []byte, size int64, root tlog.Hash) {
	at := bytes.Index(proof, []byte("\n\n"))
	if at < 0 || !bytes.Equal(proof[at+2:], signed) {
		fail("the proof of %s is under another checkpoint", index)
	}
	lines := strings.Split(string(proof[:at]), "\n")
	if len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" || lines[1] != "index "+index {
		fail("the proof of %s is none", index)
	}
	var hashes tlog.RecordProof
	for _, line := range lines[2:] {
		hashes = append(hashes, hash(line))
	}
	number, err := strconv.ParseInt(index, 10, 64)
	must(err, "the number of a record")
	must(tlog.CheckRecord(hashes, size, root, number, tlog.RecordHash(entry)), "record "+index)
}

func whole(dir, vkey string) {
	origin, size, root := checkpoint(read(dir, "checkpoint"), vkey)
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			out[i] = stored[index]
		}
		return out, nil
	})
	var next int64
	for bundle := int64(0); next < size; bundle++ {
		width := size - bundle*256
		if width > 256 {
			width = 256
		}
		path := tlog.Tile{H: 8, L: 0, N: bundle, W: int(width)}.Path()
		rest := read(dir, "tile", "entries", strings.TrimPrefix(path, "tile/8/0/"))
		for held := int64(0); held < width; held++ {
			if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
				fail("bundle %d is cut", bundle)
			}
			length := int(binary.BigEndian.Uint16(rest))
			hashes, err := tlog.StoredHashes(next, rest[2:2+length], reader)
			must(err, "hashing")
			stored = append(stored, hashes...)
			rest = rest[2+length:]
			next++
		}
		if len(rest) != 0 {
			fail("bundle %d holds more than %d entries", bundle, width)
		}
	}
	found, err := tlog.TreeHash(size, reader)
	must(err, "the root")
	if found != root {
		fail("the entries have another root than the checkpoint")
	}
	fmt.Printf("ok    %s: %d entries have the root of the signed checkpoint\n", origin, size)
}

func consistency(old, new, proof, vkey string) {
	_, oldSize, oldRoot := checkpoint(read(old), vkey)
	_, newSize, newRoot := checkpoint(read(new), vkey)
	var hashes tlog.TreeProof
	for _, line := range strings.Fields(string(read(proof))) {
		hashes = append(hashes, hash(line))
	}
	must(tlog.CheckTree(hashes, newSize, newRoot, oldSize, oldRoot), "consistency")
	fmt.Printf("ok    %d continues %d\n", newSize, oldSize)
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 3 && args[0] == "pack":
		pack(args[1], args[2])
	case len(args) == 3 && args[0] == "log":
		whole(args[1], args[2])
	case len(args) == 5 && args[0] == "consistency":
		consistency(args[1], args[2], args[3], args[4])
	default:
		fmt.Println("verify pack DIR VKEY | log DIR VKEY | consistency OLD NEW PROOF VKEY")
		os.Exit(2)
	}
}
