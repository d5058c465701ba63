// Scans the Kubernetes objects in the files of a folder with trivy's configuration checks, and prints the failed ones. It
// has far fewer modules than the whole of trivy, with its scanners of images and vulnerabilities.
package main

import (
	"context"
	"encoding/json"
	"io/fs"
	"log"
	"os"

	"github.com/aquasecurity/trivy/pkg/iac/rego"
	"github.com/aquasecurity/trivy/pkg/iac/scan"
	"github.com/aquasecurity/trivy/pkg/iac/scanners/kubernetes"
)

type finding struct {
	Check string `json:"check"`
	File  string `json:"file"`
}

func main() {
	// The options of `trivy config`.
	checks := rego.NewScanner(
		rego.WithEmbeddedPolicies(true),
		rego.WithEmbeddedLibraries(true),
		rego.WithIncludeDeprecatedChecks(false),
	)
	if err := checks.LoadPolicies(nil); err != nil {
		log.Fatal(err)
	}
	scanner := kubernetes.NewScanner(rego.WithRegoScanner(checks))
	folder := os.DirFS(os.Args[1])
	findings := []finding{}
	err := fs.WalkDir(folder, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		// One file at a time: a check for one kind of object is applied to all objects of a scan if one of them is of
		// that kind.
		results, err := scanner.ScanFS(context.Background(), folder, path)
		for _, result := range results {
			if result.Status() == scan.StatusFailed {
				findings = append(findings, finding{Check: result.Rule().ID, File: path})
			}
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(findings); err != nil {
		log.Fatal(err)
	}
}
