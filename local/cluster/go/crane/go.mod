module local/crane

go 1.26.0

require github.com/google/go-containerregistry/cmd/crane v0.22.1

tool github.com/google/go-containerregistry/cmd/crane
