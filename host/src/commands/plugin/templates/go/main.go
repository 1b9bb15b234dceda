// NAME: prints a beat a second, with the token of the lock.
//
// It is a plain WASI command: environment in, lines and an exit code out. It runs only while it holds its
// lock, and may be interrupted at any instruction when the lock is lost. A command cannot write fenced keys:
// send the token with every effect, and let the receiver refuse a smaller one than it has seen.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// config is the table [jobs.NAME.config].
type config struct {
	IntervalMS int64 `json:"interval_ms"`
	Beats      int64 `json:"beats"`
	Work       int64 `json:"work"`
}

func main() {
	settings := config{IntervalMS: 1000, Work: 1000}
	if text := os.Getenv("LEASEHOLD_CONFIG"); text != "" {
		if err := json.Unmarshal([]byte(text), &settings); err != nil {
			fmt.Fprintln(os.Stderr, "reading the configuration:", err)
			os.Exit(2)
		}
	}
	token := os.Getenv("LEASEHOLD_TOKEN")
	fmt.Printf("begins token=%s\n", token)
	for beat := int64(1); settings.Beats == 0 || beat <= settings.Beats; beat++ {
		time.Sleep(time.Duration(settings.IntervalMS) * time.Millisecond)
		fmt.Printf("beat %d token=%s result=%d\n", beat, token, work(settings.Work))
	}
}

// work stands in for yours: put it here. However long it takes, it is stopped before the lock can pass to another host.
func work(amount int64) int64 {
	var sum int64
	for n := int64(0); n < amount; n++ {
		sum = (sum*31 + n) % 1_000_003
	}
	return sum
}
