package house

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`!?\[[^\]]*\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`^#+ +(.*)`)
)

// prose returns the lines of a Markdown file that are not in a code block; lines of
// code are left empty, so that numbers stay right.
func prose(text string) []string {
	lines := strings.Split(text, "\n")
	code := false
	for i, l := range lines {
		if strings.HasPrefix(strings.TrimSpace(l), "```") {
			code = !code
			lines[i] = ""
		} else if code {
			lines[i] = ""
		}
	}
	return lines
}

// anchor makes of a heading what GitHub makes of it.
func anchor(title string) string {
	title = strings.ToLower(strings.TrimSpace(title))
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-', r == '_', r >= 'a' && r <= 'z', r >= '0' && r <= '9', r > 127:
			return r
		}
		return -1
	}, title)
}

// TestLinks follows every link from one file of the repository to another.
func TestLinks(t *testing.T) {
	followed := 0
	for _, name := range files(t) {
		if path.Ext(name) != ".md" || strings.Contains(name, "/testdata/") {
			continue
		}
		for i, line := range prose(read(t, name)) {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				u, err := url.Parse(m[1])
				if err != nil {
					t.Errorf("%s:%d: link %s: %v", name, i+1, m[1], err)
					continue
				}
				if u.IsAbs() {
					continue
				}
				followed++
				target := name
				if u.Path != "" {
					target = path.Join(path.Dir(name), u.Path)
				}
				if _, err := os.Stat(filepath.Join(root, target)); err != nil {
					t.Errorf("%s:%d: link %s leads nowhere: %v", name, i+1, m[1], err)
					continue
				}
				if u.Fragment != "" && !hasAnchor(prose(read(t, target)), u.Fragment) {
					t.Errorf("%s:%d: link %s: no such heading in %s", name, i+1, m[1], target)
				}
			}
		}
	}
	if followed == 0 {
		t.Error("no link was followed")
	}
}

func hasAnchor(lines []string, want string) bool {
	for _, l := range lines {
		if m := heading.FindStringSubmatch(l); m != nil && anchor(m[1]) == want {
			return true
		}
	}
	return false
}

var changeTitle = regexp.MustCompile(`^(Added|Changed|Fixed|Removed|Security): [^ ].*[^.]$`)

// TestChangelogEntries holds every entry to changelog/TEMPLATE.
func TestChangelogEntries(t *testing.T) {
	n := 0
	for _, name := range files(t) {
		if !strings.HasPrefix(name, "changelog/") || name == "changelog/TEMPLATE" {
			continue
		}
		n++
		if path.Ext(name) != ".md" || len(strings.Split(name, "/")) != 3 {
			t.Errorf("%s: an entry is changelog/RELEASE/SUBJECT.md", name)
		}
		lines := strings.Split(read(t, name), "\n")
		if !changeTitle.MatchString(lines[0]) {
			t.Errorf("%s:1: %q is not of the form of changelog/TEMPLATE", name, lines[0])
		}
		if len(lines) < 4 || lines[1] != "" || strings.TrimSpace(lines[2]) == "" {
			t.Errorf("%s: want a title, an empty line, and what it means for the user", name)
		}
		for i, l := range lines {
			if len([]rune(l)) > 100 {
				t.Errorf("%s:%d: longer than 100 characters", name, i+1)
			}
		}
	}
	if n == 0 {
		t.Error("no entry found")
	}
}
