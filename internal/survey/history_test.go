package survey

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("SURVEY_TEST_APPEND"); name != "" { // see TestHistorySurvivesKill
		for i := 0; ; i++ {
			if err := AppendHistory(name, record(i)); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			fmt.Println(i)
		}
	}
	os.Exit(m.Run())
}

func record(i int) Record {
	r := healthy(4).Record()
	r.Time = time.Unix(int64(i), 0).UTC()
	return r
}

func TestHistory(t *testing.T) {
	name := filepath.Join(t.TempDir(), "deep", "er", "bench.jsonl")
	if all, err := ReadHistory(name); err != nil || len(all) != 0 {
		t.Fatalf("of no file: %v, %v", all, err)
	}
	var want []Record
	for i := range 3 {
		want = append(want, record(i))
		if err := AppendHistory(name, record(i)); err != nil {
			t.Fatal(err)
		}
	}
	// A crash tore a line, and somebody wrote nonsense.
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(f, "nonsense\n{\"mesh\":\"ring\",\"pai")
	f.Close()
	if err := AppendHistory(name, record(3)); err != nil {
		t.Fatal(err)
	}
	want = append(want, record(3))
	got, err := ReadHistory(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHistoryStaysShort(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bench.jsonl")
	var b strings.Builder
	for i := range 2 * keepRecords {
		fmt.Fprintf(&b, `{"mesh":"ring","time":"%s"}`+"\n", time.Unix(int64(i), 0).UTC().Format(time.RFC3339))
	}
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := AppendHistory(name, record(5)); err != nil {
		t.Fatal(err)
	}
	all, err := ReadHistory(name)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != keepRecords || !all[len(all)-1].Time.Equal(record(5).Time) || all[0].Time.Unix() != keepRecords+1 {
		t.Errorf("%d records from %v to %v", len(all), all[0].Time, all[len(all)-1].Time)
	}
}

// A program that is killed at any moment loses no record that it had finished
// writing, and leaves a file that can be read and added to.
func TestHistorySurvivesKill(t *testing.T) {
	name := filepath.Join(t.TempDir(), "bench.jsonl")
	finished := 0
	for round := range 8 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "SURVEY_TEST_APPEND="+name)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+7*round) * time.Millisecond)
		_ = cmd.Process.Kill()
		text := make([]byte, 1<<16)
		n := 0
		for {
			m, err := out.Read(text[n:])
			n += m
			if err != nil {
				break
			}
		}
		_ = cmd.Wait()
		finished += strings.Count(string(text[:n]), "\n")
		all, err := ReadHistory(name)
		if err != nil {
			t.Fatal(err)
		}
		// One more may have been written and not yet told, in each round.
		if len(all) < finished || len(all) > finished+round+1 {
			t.Fatalf("round %d: %d records, %d were told as finished", round, len(all), finished)
		}
	}
	if finished < 8 {
		t.Fatalf("only %d records were written: the test proves nothing", finished)
	}
}
