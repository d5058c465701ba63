// The Kubernetes provider of Pulumi. The main package of its module embeds files that only its release process writes;
// this one reads the schema from the file that the build puts beside it.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
)

const module = "github.com/pulumi/pulumi-kubernetes/provider/v4"

func main() {
	schema, err := readSchema()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	go endWithParent(os.Getppid())
	// The second file maps names of Terraform's provider, for `pulumi convert` alone.
	provider.Serve("kubernetes", version(), schema, []byte("{}"))
}

// endWithParent exits when the engine that started this process has ended: a killed engine cannot stop its plugins, and
// one that waits for an object would go on for as long as the object may take.
func endWithParent(engine int) {
	for range time.Tick(time.Second) {
		if os.Getppid() != engine {
			os.Exit(1)
		}
	}
}

func readSchema() ([]byte, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	self, err = filepath.EvalSymlinks(self)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(filepath.Dir(self), "schema.json"))
}

// version is the one that go.mod pins, without its leading v.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dependency := range info.Deps {
			if dependency.Path == module {
				return dependency.Version[1:]
			}
		}
	}
	return "0.0.0"
}
