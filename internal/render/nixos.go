package render

func writeNixOS(s system) []File { return nil }
