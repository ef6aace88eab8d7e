package config

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	yaml "go.yaml.in/yaml/v4"
)

// What readers of YAML 1.1 (PyYAML, Ansible, older Go programs) make of plain
// scalars: https://yaml.org/type/bool.html, int.html and float.html. YAML 1.2
// has dropped most of it, which is why one file can mean two things.
var (
	truthValue  = regexp.MustCompile(`^(?i:y|n|yes|no|on|off|true|false)$`)
	sexagesimal = regexp.MustCompile(`^[-+]?[0-9]+(:[0-5]?[0-9])+(\.[0-9]*)?$`)
	hardwareMAC = regexp.MustCompile(`^[0-9]{1,2}(:[0-9]{1,2}){5}$`)
	exponent    = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$`)
	octal       = regexp.MustCompile(`^[-+]?0[0-7_]+$`)
	plainNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?$`)
)

func isPlain(n *yaml.Node) bool {
	return n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle|yaml.TaggedStyle) == 0
}

// trap says what goes wrong with an unquoted scalar where text is expected. Plain
// decimal numbers, true and false pass where numbers may stand as well.
func trap(n *yaml.Node, numbersToo bool) (problem, hint string) {
	s := n.Value
	if !isPlain(n) || numbersToo && (plainNumber.MatchString(s) || s == "true" || s == "false") {
		return "", ""
	}
	hint = fmt.Sprintf("put it in quotes: %s", quote(s))
	switch {
	case truthValue.MatchString(s):
		return fmt.Sprintf("%s without quotes is a truth value to many readers of YAML", clip(s)), hint
	case hardwareMAC.MatchString(s) && sexagesimal.MatchString(s):
		return fmt.Sprintf("the MAC address %s without quotes is a base 60 number in YAML 1.1", clip(s)), hint
	case sexagesimal.MatchString(s):
		return fmt.Sprintf("%s without quotes is a base 60 number in YAML 1.1", clip(s)), hint
	case octal.MatchString(s) && len(s) > 1:
		return fmt.Sprintf("%s without quotes is a number to YAML, and loses its leading zero", clip(s)), hint
	case n.Tag == "!!int", n.Tag == "!!float":
		return fmt.Sprintf("%s without quotes is a number to YAML, not text", clip(s)), hint
	case n.Tag == "!!timestamp":
		return fmt.Sprintf("%s without quotes is a date to YAML, not text", clip(s)), hint
	case n.Tag == "!!bool":
		return fmt.Sprintf("%s without quotes is a truth value to YAML, not text", clip(s)), hint
	}
	return "", ""
}

// oddNumber explains numbers that are not written in plain decimal digits.
func oddNumber(n *yaml.Node) (problem, hint string) {
	s := n.Value
	plain := strings.ReplaceAll(s, "_", "")
	switch {
	case sexagesimal.MatchString(s):
		return fmt.Sprintf("%s is a base 60 number in YAML 1.1", clip(s)), "write plain decimal digits"
	case octal.MatchString(s) && len(plain) > 1:
		hint = "write plain decimal digits, without a leading zero"
		if i, ok := new(big.Int).SetString(plain, 8); ok {
			hint = fmt.Sprintf("write %s or %s", clip(i.String()), clip(strings.TrimLeft(plain, "+-0")))
		}
		return fmt.Sprintf("%s is an octal number in YAML 1.1 and a decimal one in YAML 1.2", clip(s)), hint
	case exponent.MatchString(s):
		hint = "write plain decimal digits"
		if f, err := strconv.ParseFloat(plain, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1e9 {
			hint = fmt.Sprintf("write %d", int64(f))
		}
		return fmt.Sprintf("%s is a floating point number to some readers of YAML and text to others", clip(s)), hint
	case n.Tag == "!!int" && strings.ContainsAny(s, "_xXoObB"):
		hint = "write plain decimal digits"
		if i, err := strconv.ParseInt(s, 0, 64); err == nil {
			hint = fmt.Sprintf("write %d", i)
		}
		return fmt.Sprintf("%s is a number to some readers of YAML and text to others", clip(s)), hint
	case truthValue.MatchString(s):
		return fmt.Sprintf("%s is a truth value to many readers of YAML", clip(s)), "write a number"
	}
	return "", ""
}
