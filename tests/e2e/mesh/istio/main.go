// Command istio serves one proxy as Istio does, without Kubernetes: istiod's own code makes the configuration out of
// files, and the agent's own code fetches the Wasm modules in it.
//
//	istio -configs DIR -mesh FILE -listen 127.0.0.1:15010 -modules DIR -insecure 127.0.0.1:5000
//
// DIR has the manifests; a change of a file is applied as it would be in a cluster. The proxy connects over plain gRPC.
// There is no certificate authority: mutual TLS between proxies is not covered. The tests in tests/e2e start it.
//
//	istio -validate DIR
//
// says what istiod's admission webhook would say about each manifest, and fails if it would refuse one.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"istio.io/istio/pilot/pkg/config/kube/crd"
	"istio.io/istio/pilot/pkg/model"
	v3 "istio.io/istio/pilot/pkg/xds/v3"
	"istio.io/istio/pilot/test/xds"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/mesh"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/test"
	"istio.io/istio/pkg/util/sets"
	"istio.io/istio/pkg/wasm"
)

// How often the files are compared with the store.
const poll = 200 * time.Millisecond

var (
	configs          = flag.String("configs", "", "folder with manifests")
	meshFile         = flag.String("mesh", "", "file with the mesh configuration, as YAML")
	listen           = flag.String("listen", "127.0.0.1:0", "address for the proxy")
	modules          = flag.String("modules", "", "folder for fetched modules")
	validate         = flag.String("validate", "", "folder with manifests that are only validated")
	insecureRegistry = flag.String("insecure", "", "registry that may be asked without TLS")
)

func main() {
	flag.Parse()
	if *validate != "" {
		os.Exit(validated(*validate))
	}
	if err := test.Wrap(serve); err != nil {
		fmt.Fprintln(os.Stderr, "istio:", err)
		os.Exit(1)
	}
}

func serve(t test.Failer) {
	text, err := os.ReadFile(*meshFile)
	check(t, err)
	settings, err := mesh.ApplyMeshConfigDefaults(string(text))
	check(t, err)
	inputs, err := read(*configs)
	check(t, err)
	server := xds.NewFakeDiscoveryServer(t, xds.FakeOptions{Configs: inputs, MeshConfig: settings})
	agent := &agent{
		istiod: server.BufListener,
		cache:  wasm.NewLocalFileCache(*modules, wasm.Options{InsecureRegistries: sets.New(*insecureRegistry)}),
	}
	listener, err := net.Listen("tcp", *listen)
	check(t, err)
	grpcServer := grpc.NewServer()
	discovery.RegisterAggregatedDiscoveryServiceServer(grpcServer, agent)
	fmt.Printf("serving %d manifests on %s\n", len(inputs), listener.Addr())
	go follow(server.Store())
	check(t, grpcServer.Serve(listener))
}

// validated prints what is wrong with the manifests of a folder, and returns the exit status.
func validated(folder string) int {
	inputs, err := read(folder)
	if err != nil {
		fmt.Fprintln(os.Stderr, "istio:", err)
		return 1
	}
	status := 0
	for _, input := range inputs {
		schema, ok := collections.PilotGatewayAPI().FindByGroupVersionKind(input.GroupVersionKind)
		if !ok {
			fmt.Printf("%s: istiod does not know this kind\n", input.Key())
			status = 1
			continue
		}
		warning, err := schema.ValidateConfig(input)
		if err != nil {
			fmt.Printf("%s: refused: %v\n", input.Key(), err)
			status = 1
		}
		if warning != nil {
			fmt.Printf("%s: warned of: %v\n", input.Key(), warning)
		}
	}
	fmt.Printf("validated %d manifests\n", len(inputs))
	return status
}

func check(t test.Failer, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

// read returns the resources of all files that Istio knows. Those of Kubernetes itself are left out.
func read(folder string) ([]config.Config, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var found []config.Config
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		inputs, _, err := crd.ParseInputs(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, input := range inputs {
			if input.CreationTimestamp.IsZero() {
				input.CreationTimestamp = time.Unix(1_750_000_000, 0)
			}
			found = append(found, input)
		}
	}
	return found, nil
}

// follow applies changes of the files to the store, for ever. A file that cannot be read or parsed changes nothing.
func follow(store model.ConfigStoreController) {
	known, _ := content(*configs)
	present := map[string]config.Config{}
	if inputs, err := read(*configs); err == nil {
		for _, input := range inputs {
			present[input.Key()] = input
		}
	}
	for version := 1; ; time.Sleep(poll) {
		now, err := content(*configs)
		if err != nil || bytes.Equal(now, known) {
			continue
		}
		inputs, err := read(*configs)
		if err != nil {
			fmt.Fprintln(os.Stderr, "istio: the files are not applied:", err)
			continue
		}
		known = now
		version++
		wanted := map[string]config.Config{}
		for _, input := range inputs {
			wanted[input.Key()] = input
		}
		for key, input := range wanted {
			if old, ok := present[key]; ok {
				if same(old, input) {
					continue
				}
				current := store.Get(input.GroupVersionKind, input.Name, input.Namespace)
				if current != nil {
					input.ResourceVersion = current.ResourceVersion
				}
				_, err = store.Update(input)
			} else {
				_, err = store.Create(input)
			}
			report(err, "applying "+key)
		}
		for key, old := range present {
			if _, ok := wanted[key]; !ok {
				report(store.Delete(old.GroupVersionKind, old.Name, old.Namespace, nil), "deleting "+key)
			}
		}
		present = wanted
		fmt.Printf("applied version %d\n", version)
	}
}

func report(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "istio: %s: %v\n", what, err)
	}
}

func same(left, right config.Config) bool {
	one, errOne := config.ToJSON(left.Spec)
	other, errOther := config.ToJSON(right.Spec)
	return errOne == nil && errOther == nil && bytes.Equal(one, other)
}

// content returns all files of a folder one after the other.
func content(folder string) ([]byte, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, err
	}
	sort.Strings(names)
	var all bytes.Buffer
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		all.WriteString(name)
		all.Write(text)
	}
	return all.Bytes(), nil
}

// agent stands between the proxy and istiod, as pilot-agent does: it replaces modules to fetch by files.
type agent struct {
	discovery.UnimplementedAggregatedDiscoveryServiceServer
	istiod *bufconn.Listener
	cache  wasm.Cache
}

func (a *agent) StreamAggregatedResources(down discovery.AggregatedDiscoveryService_StreamAggregatedResourcesServer) error {
	ctx, cancel := context.WithCancel(down.Context())
	defer cancel()
	connection, err := grpc.NewClient("passthrough:///istiod",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20)),
		grpc.WithContextDialer(func(context.Context, string) (net.Conn, error) { return a.istiod.Dial() }))
	if err != nil {
		return err
	}
	defer connection.Close()
	up, err := discovery.NewAggregatedDiscoveryServiceClient(connection).StreamAggregatedResources(ctx)
	if err != nil {
		return err
	}
	done := make(chan error, 2)
	go func() {
		for {
			request, err := down.Recv()
			if err == nil {
				if detail := request.GetErrorDetail(); detail != nil {
					kind := request.GetTypeUrl()
					fmt.Printf("rejected by the proxy: %s: %s\n", kind[strings.LastIndex(kind, ".")+1:], detail.GetMessage())
				}
				err = up.Send(request)
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	go func() {
		for {
			response, err := up.Recv()
			if err == nil {
				if response.GetTypeUrl() == v3.ExtensionConfigurationType {
					err = wasm.MaybeConvertWasmExtensionConfig(response.Resources, a.cache)
				}
				if err == nil {
					err = down.Send(response)
				}
			}
			if err != nil {
				done <- err
				return
			}
		}
	}()
	err = <-done
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}
