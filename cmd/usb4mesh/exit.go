package main

import (
	"context"
	"errors"
	"fmt"
)

// Exit codes, a promise (docs/cli.md).
const (
	exitDone        = 0
	exitFailed      = 1   // something went wrong while doing it
	exitUsage       = 2   // the command line is wrong
	exitFile        = 3   // the cluster file has errors
	exitProblems    = 4   // the check ran and found problems
	exitInterrupted = 130 // Ctrl-C
)

// exitError carries an exit code. A nil err means that everything was said already.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitCode maps the error of a verb to the exit code and the text to print.
func exitCode(ctx context.Context, err error) (int, string) {
	var coded *exitError
	switch {
	case err == nil:
		return exitDone, ""
	case errors.As(err, &coded):
		if coded.err == nil {
			return coded.code, ""
		}
		return coded.code, coded.err.Error()
	case ctx.Err() != nil:
		return exitInterrupted, "interrupted"
	}
	return exitFailed, err.Error()
}

func usageError(format string, args ...any) error {
	return &exitError{exitUsage, fmt.Errorf(format, args...)}
}
