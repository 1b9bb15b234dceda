package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"sort"
	"sync"
	"time"

	"go.etcd.io/etcd/clientv3"
	"go.etcd.io/etcd/clientv3/concurrency"
)

func pct(d []time.Duration, p float64) time.Duration { return d[int(float64(len(d)-1)*p)] }

func main() {
	ep := flag.String("endpoint", "127.0.0.1:2379", "")
	mode := flag.String("mode", "uncontended", "uncontended|handoff|raw")
	n := flag.Int("n", 500, "cycles")
	clients := flag.Int("clients", 10, "contenders")
	flag.Parse()
	mk := func() *clientv3.Client {
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{*ep}, DialTimeout: 5 * time.Second})
		if err != nil {
			log.Fatal(err)
		}
		return c
	}
	ctx := context.Background()
	switch *mode {
	case "raw":
		c := mk()
		var d []time.Duration
		t0 := time.Now()
		for i := 0; i < *n; i++ {
			s := time.Now()
			if _, err := c.Put(ctx, "/raw/k", "v"); err != nil {
				log.Fatal(err)
			}
			d = append(d, time.Since(s))
		}
		sort.Slice(d, func(i, j int) bool { return d[i] < d[j] })
		fmt.Printf("raw put n=%d p50=%v p99=%v rate=%.0f/s\n", *n, pct(d, .5), pct(d, .99), float64(*n)/time.Since(t0).Seconds())
	case "uncontended":
		c := mk()
		s, err := concurrency.NewSession(c, concurrency.WithTTL(10))
		if err != nil {
			log.Fatal(err)
		}
		m := concurrency.NewMutex(s, "/bench/u")
		var la, lr []time.Duration
		t0 := time.Now()
		for i := 0; i < *n; i++ {
			a := time.Now()
			if err := m.Lock(ctx); err != nil {
				log.Fatal(err)
			}
			b := time.Now()
			if err := m.Unlock(ctx); err != nil {
				log.Fatal(err)
			}
			la = append(la, b.Sub(a))
			lr = append(lr, time.Since(b))
		}
		el := time.Since(t0)
		sort.Slice(la, func(i, j int) bool { return la[i] < la[j] })
		sort.Slice(lr, func(i, j int) bool { return lr[i] < lr[j] })
		fmt.Printf("uncontended n=%d acquire p50=%v p99=%v release p50=%v p99=%v cycles=%.0f/s\n", *n, pct(la, .5), pct(la, .99), pct(lr, .5), pct(lr, .99), float64(*n)/el.Seconds())
	case "handoff":
		var wg sync.WaitGroup
		var mu sync.Mutex
		var gaps []time.Duration
		var lastRel time.Time
		per := *n / *clients
		t0 := time.Now()
		for k := 0; k < *clients; k++ {
			wg.Add(1)
			go func() {
				defer wg.Done()
				c := mk()
				s, err := concurrency.NewSession(c, concurrency.WithTTL(10))
				if err != nil {
					log.Fatal(err)
				}
				for i := 0; i < per; i++ {
					m := concurrency.NewMutex(s, "/bench/h")
					if err := m.Lock(ctx); err != nil {
						log.Fatal(err)
					}
					now := time.Now()
					mu.Lock()
					if !lastRel.IsZero() {
						gaps = append(gaps, now.Sub(lastRel))
					}
					lastRel = time.Now()
					mu.Unlock()
					if err := m.Unlock(ctx); err != nil {
						log.Fatal(err)
					}
				}
			}()
		}
		wg.Wait()
		el := time.Since(t0)
		sort.Slice(gaps, func(i, j int) bool { return gaps[i] < gaps[j] })
		fmt.Printf("handoff clients=%d n=%d gap p50=%v p99=%v transitions=%.0f/s\n", *clients, len(gaps), pct(gaps, .5), pct(gaps, .99), float64(len(gaps))/el.Seconds())
	default:
		os.Exit(2)
	}
}
