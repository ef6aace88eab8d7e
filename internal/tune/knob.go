package tune

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// knob is one setting that can be read and set as text.
type knob struct {
	Kind  string
	File  string `json:",omitempty"` // of kind file: path below the root
	Index int    `json:",omitempty"` // of kind segmentation: the interface, which may be renamed
}

const (
	kindFile         = "file"
	kindSegmentation = "segmentation" // which TCP segmentation offloads are asked for, with commas
)

func (k knob) String() string {
	if k.Kind == kindFile {
		return "/" + k.File
	}
	if i, err := net.InterfaceByIndex(k.Index); err == nil {
		return "segmentation offload of " + i.Name
	}
	return fmt.Sprintf("segmentation offload of interface %d", k.Index)
}

// errGone says that what a knob belongs to does not exist any more.
var errGone = errors.New("it is gone")

func (t *Tuner) read(k knob) (string, error) {
	switch k.Kind {
	case kindFile:
		text, err := os.ReadFile(t.path(k))
		if errors.Is(err, os.ErrNotExist) {
			return "", errGone
		}
		return strings.TrimSpace(string(text)), err
	case kindSegmentation:
		i, err := net.InterfaceByIndex(k.Index)
		if err != nil {
			return "", errGone
		}
		return segmentation(i.Name)
	}
	return "", fmt.Errorf("no knob of kind %q is known", k.Kind)
}

func (t *Tuner) set(k knob, text string) error {
	switch k.Kind {
	case kindFile:
		f, err := os.OpenFile(t.path(k), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteString(text + "\n")
		return errors.Join(err, f.Close())
	case kindSegmentation:
		i, err := net.InterfaceByIndex(k.Index)
		if err != nil {
			return errGone
		}
		return setSegmentation(i.Name, text)
	}
	return fmt.Errorf("no knob of kind %q is known", k.Kind)
}

func (t *Tuner) path(k knob) string { return filepath.Join("/", t.root, filepath.Clean("/"+k.File)) }
