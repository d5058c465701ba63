module platform/images/pause

go 1.21
