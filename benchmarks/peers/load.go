// The program of benchmarks/load in Go: the same scene on stdin, the same answer on stdout.
// A hog computes a job of chunks, then lets others run; each arrival counts from its intended time.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

type Scene struct {
	Probe       string
	Hogs        int
	Kind        string
	Chunks      int
	Due         []float64
	Connections int
	Size        int
}

type Answer struct {
	Late    []float64 `json:"late"`
	Chunks  int64     `json:"chunks"`
	Elapsed float64   `json:"elapsed"`
	CPU     float64   `json:"cpu"`
}

const chunk = time.Millisecond

var sink int64 // what is computed goes somewhere, so that it is computed

func tight(count int) int {
	x := 1
	for i := 0; i < count; i++ {
		x = (x*31 + i) & 0xFFFF
	}
	return x
}

//go:noinline
func mix(x, i int) int { return (x*31 + i) & 0xFFFF }

func calls(count int) int {
	x := 1
	for i := 0; i < count; i++ {
		x = mix(x, i)
	}
	return x
}

// Go 1.19 has no iterators: a generator is a closure that is called for its next number.
func generators(count int) int {
	i := -1
	numbers := func() (int, bool) { i++; return i, i < count }
	scaled := func() (int, bool) { n, ok := numbers(); return (n * 31) & 0xFFFF, ok }
	x := 0
	for {
		n, ok := scaled()
		if !ok {
			return x
		}
		if n&1 == 1 {
			x ^= n
		}
	}
}

type record struct {
	ID    int      `json:"id"`
	Name  string   `json:"name"`
	Tags  []string `json:"tags"`
	Price float64  `json:"price"`
}

var rows []record
var text string
var pair = regexp.MustCompile(`(\w+)=([\w-]+);`)

func ccalls(count int) int {
	x := 0
	for i := 0; i < count; i++ {
		data, _ := json.Marshal(rows)
		var back []record
		if json.Unmarshal(data, &back) != nil {
			panic("JSON that cannot be read back")
		}
		x += len(back) + len(pair.FindAllString(text, -1))
	}
	return x
}

// calibrate returns the count that takes a chunk's time here: the best of some tries.
func calibrate(work func(int) int) int {
	best := func(count, tries int) time.Duration {
		least := time.Hour
		for i := 0; i < tries; i++ {
			start := time.Now()
			atomic.AddInt64(&sink, int64(work(count)))
			if took := time.Since(start); took < least {
				least = took
			}
		}
		return least
	}
	count := 1
	for best(count, 3) < chunk {
		count *= 2
	}
	result := int(float64(count) * float64(chunk) / float64(best(count, 15)))
	if result < 1 {
		return 1
	}
	return result
}

// cpu returns the seconds of CPU time that this process has used.
func cpu() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func main() {
	for i := 0; i < 60; i++ {
		rows = append(rows, record{i, fmt.Sprintf("row %d", i), []string{"a", "b"}, float64(i) / 7})
	}
	var words []string
	for i := 0; i < 500; i++ {
		words = append(words, fmt.Sprintf("key%d=value-%d;", i, i*7919))
	}
	text = strings.Join(words, " ")

	var scene Scene
	if err := json.NewDecoder(bufio.NewReader(os.Stdin)).Decode(&scene); err != nil {
		panic(err)
	}
	work := map[string]func(int) int{"tight": tight, "calls": calls, "generators": generators, "ccalls": ccalls}[scene.Kind]
	count := calibrate(work)
	var done int64
	var began time.Time
	var spent float64
	start := func() {
		began, spent = time.Now(), cpu()
		for i := 0; i < scene.Hogs; i++ {
			go func() {
				for {
					for j := 0; j < scene.Chunks; j++ {
						atomic.AddInt64(&sink, int64(work(count)))
						atomic.AddInt64(&done, 1)
					}
					runtime.Gosched()
				}
			}()
		}
	}
	end := func(late []float64) {
		answer, _ := json.Marshal(Answer{late, atomic.LoadInt64(&done), time.Since(began).Seconds(), cpu() - spent})
		fmt.Println(string(answer))
		os.Exit(0)
	}
	if scene.Probe == "echo" {
		serve(scene, start, end)
	}
	start()
	late := make([]float64, 0, len(scene.Due))
	first := time.Now()
	for len(late) < len(scene.Due) {
		now := time.Since(first).Seconds()
		if wait := scene.Due[len(late)] - now; wait > 0 {
			time.Sleep(time.Duration(wait * 1e9))
			continue
		}
		late = append(late, now-scene.Due[len(late)])
	}
	end(late)
}

func serve(scene Scene, start func(), end func([]float64)) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	var closed int32
	for opened := 1; ; opened++ {
		conn, err := listener.Accept()
		if err != nil {
			panic(err)
		}
		if opened == scene.Connections {
			start()
			conn.Write([]byte("!"))
		}
		go func() {
			data := make([]byte, 4096)
			for {
				n, err := conn.Read(data)
				if err != nil {
					break
				}
				conn.Write(data[:n])
			}
			if atomic.AddInt32(&closed, 1) == int32(scene.Connections) {
				end([]float64{})
			}
		}()
	}
}
