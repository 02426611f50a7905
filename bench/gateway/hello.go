// Go's net/http/fcgi with the same small application: hello SOCKET.
package main

import (
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
)

func main() {
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := os.Chmod(os.Args[1], 0o666); err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	err = fcgi.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		io.WriteString(w, "Hello World\n")
	}))
	if err != nil {
		panic(err)
	}
}
