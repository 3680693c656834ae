// An OCF Client made of plgd's CoAP library, pion's DTLS and fxamacker's CBOR, for the tests: none of it speaks through
// code of Fargo's. It reads commands from its standard input and prints what came of each, one JSON object a line, and
// notifications as they come. What a command may have stands at type command.
//
// The order and the form of the messages that take ownership are those of plgd's Client (own.go).
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/plgd-dev/go-coap/v3/message"
	"github.com/plgd-dev/go-coap/v3/message/codes"
	"github.com/plgd-dev/go-coap/v3/message/pool"
	coapNet "github.com/plgd-dev/go-coap/v3/net"
	"github.com/plgd-dev/go-coap/v3/options"
	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

const (
	group   = "224.0.1.187:5683" // All OCF Devices (IPv4)
	timeout = 20 * time.Second
)

// command is a line of the input. Do is one of:
//
//	discover   GET Path with Query, sent to the group from Interface; it ends with as many answers as are Enough
//	own        take ownership of Address by Method ("just-works", "certificate") as UUID; Manufacturer says who the
//	           Client is and which Devices it trusts, Authority issues the identities of the Device and of the Client;
//	           with Blind the Client does not look first whether the Device has an owner, and
//	           Key (hex) is used instead of a random one
//	connect    a session with Address by Method: "psk" or "certificate", as owner; "anonymous"; "clear" is none
//	get, update, delete, observe   over that session
//	disown     RESET, written to pstat over that session
//
// A command may take Ms milliseconds, or as long as timeout says.
type command struct {
	Do           string   `json:"do"`
	Path         string   `json:"path"`
	Query        []string `json:"query"`
	Value        any      `json:"value"`
	Interface    string   `json:"interface"`
	Ms           int      `json:"ms"`
	Enough       int      `json:"enough"`
	Address      string   `json:"address"`
	Method       string   `json:"method"`
	UUID         string   `json:"uuid"`
	Manufacturer *party   `json:"manufacturer"`
	Authority    *party   `json:"authority"`
	Blind        bool     `json:"blind"`
	Key          string   `json:"key"`
}

// softwareUpdate and provisioning are the Resources as a Client with types knows them: what is of another type, or not
// among their Properties, is an error.
type softwareUpdate struct {
	RT         []string `json:"rt,omitempty"`
	If         []string `json:"if,omitempty"`
	NV         string   `json:"nv"`
	Purl       string   `json:"purl"`
	Action     string   `json:"swupdateaction"`
	State      string   `json:"swupdatestate"`
	Result     *int     `json:"swupdateresult"`
	LastUpdate string   `json:"lastupdate"`
	Signed     string   `json:"signed"`
	UpdateTime string   `json:"updatetime"`
}

type provisioning struct {
	RT  []string `json:"rt,omitempty"`
	If  []string `json:"if,omitempty"`
	Dos struct {
		Pending bool `json:"p"`
		State   int  `json:"s"`
	} `json:"dos"`
	Isop        bool   `json:"isop"`
	Cm          uint16 `json:"cm"`
	Tm          uint16 `json:"tm"`
	Om          int    `json:"om"`
	Sm          int    `json:"sm"`
	ResourceUID string `json:"rowneruuid"`
}

var (
	ocfCBOR    = message.AppOcfCbor
	encoder, _ = cbor.EncOptions{}.EncMode()
	decoder, _ = cbor.DecOptions{
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
		DefaultMapType:    mapType,
	}.DecMode()
	printing sync.Mutex
)

// refused is an answer that is not the success asked for.
type refused struct {
	code codes.Code
	text string
}

func (r *refused) Error() string { return fmt.Sprintf("%v: %s", r.code, r.text) }

func report(fields map[string]any) {
	line, err := json.Marshal(fields)
	if err != nil {
		line, _ = json.Marshal(map[string]any{"do": fields["do"], "ok": false, "error": err.Error()})
	}
	printing.Lock()
	defer printing.Unlock()
	os.Stdout.Write(append(line, '\n'))
}

// decode reads a body with the types of its Resource.
func decode(path string, body []byte) (any, error) {
	var err error
	switch path {
	case "/oc/swu":
		var value softwareUpdate
		if err = decoder.Unmarshal(body, &value); err == nil {
			return value, nil
		}
	case "/oic/sec/pstat":
		var value provisioning
		if err = decoder.Unmarshal(body, &value); err == nil {
			return value, nil
		}
	default:
		var value any
		if err = decoder.Unmarshal(body, &value); err == nil {
			return value, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// read takes a reply apart; a body must say that it is CBOR of OCF's.
func read(path string, reply *pool.Message, wanted ...codes.Code) (any, error) {
	body, err := reply.ReadBody()
	if err != nil {
		return nil, err
	}
	good := false
	for _, code := range wanted {
		good = good || reply.Code() == code
	}
	if !good {
		return nil, &refused{reply.Code(), string(body)}
	}
	if len(body) == 0 {
		return nil, nil
	}
	format, err := reply.ContentFormat()
	if err != nil || format != ocfCBOR && format != message.AppCBOR {
		return nil, fmt.Errorf("%s: the body has the Content-Format %v (%v)", path, format, err)
	}
	return decode(path, body)
}

func queries(query []string) message.Options {
	var found message.Options
	for _, part := range query {
		found = append(found, message.Option{ID: message.URIQuery, Value: []byte(part)})
	}
	return found
}

// get, post and remove are the exchanges, as the Client and its onboarding use them.

func get(ctx context.Context, conn *client.Conn, path string, query ...string) (any, error) {
	reply, err := conn.Get(ctx, path, queries(query)...)
	if err != nil {
		return nil, err
	}
	return read(path, reply, codes.Content)
}

func post(ctx context.Context, conn *client.Conn, path string, value any, query ...string) (any, error) {
	body, err := encoder.Marshal(value)
	if err != nil {
		return nil, err
	}
	reply, err := conn.Post(ctx, path, ocfCBOR, bytes.NewReader(body), queries(query)...)
	if err != nil {
		return nil, err
	}
	return read(path, reply, codes.Changed, codes.Valid)
}

func remove(ctx context.Context, conn *client.Conn, path string, query ...string) (any, error) {
	reply, err := conn.Delete(ctx, path, queries(query)...)
	if err != nil {
		return nil, err
	}
	return read(path, reply, codes.Deleted)
}

// discover asks the group and collects who answers.
func discover(ctx context.Context, c command) (any, error) {
	listener, err := coapNet.NewListenUDP("udp4", "")
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	server := udp.NewServer(options.WithErrors(func(error) {}))
	ready := make(chan struct{})
	go func() {
		close(ready)
		_ = server.Serve(listener)
	}()
	<-ready
	defer server.Stop()
	request := pool.NewMessage(context.Background())
	if err := request.SetupGet(c.Path, message.Token("discover"), queries(c.Query)...); err != nil {
		return nil, err
	}
	request.SetMessageID(message.GetMID())
	request.SetType(message.NonConfirmable)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	request.SetContext(ctx)
	var lock sync.Mutex
	found := []any{}
	receive := func(conn *client.Conn, reply *pool.Message) {
		value, err := read(c.Path, reply, codes.Content)
		if err != nil {
			value = err.Error()
		}
		lock.Lock()
		defer lock.Unlock()
		found = append(found, map[string]any{"from": conn.RemoteAddr().String(), "value": value})
		if len(found) == c.Enough {
			cancel()
		}
	}
	network, err := net.InterfaceByName(c.Interface)
	if err != nil {
		return nil, err
	}
	for {
		err = server.DiscoveryRequest(request, group, receive, coapNet.WithMulticastInterface(*network))
		// the library says so until its listener is up
		if err == nil || ctx.Err() != nil || err.Error() != "server doesn't serve connection" {
			break
		}
		time.Sleep(time.Millisecond)
	}
	lock.Lock()
	defer lock.Unlock()
	return found, err
}

// desk is where the commands are carried out: who this Client is, and the session it has.
type desk struct {
	owner identity
	conn  *client.Conn
}

func (d *desk) do(c command) (any, error) {
	patience := timeout
	if c.Ms > 0 {
		patience = time.Duration(c.Ms) * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if c.Do == "discover" {
		return discover(ctx, c)
	}
	if c.Do == "own" || c.Do == "connect" {
		if d.conn != nil {
			_ = d.conn.Close()
			d.conn = nil
		}
		if c.Do == "own" {
			return nil, d.own(ctx, c)
		}
		conn, err := d.connect(ctx, c)
		d.conn = conn
		return nil, err
	}
	if d.conn == nil {
		return nil, errors.New("there is no session")
	}
	switch c.Do {
	case "get":
		return get(ctx, d.conn, c.Path, c.Query...)
	case "update":
		return post(ctx, d.conn, c.Path, numbers(c.Value), c.Query...)
	case "delete":
		return remove(ctx, d.conn, c.Path, c.Query...)
	case "observe":
		return nil, d.observe(ctx, c)
	case "disown":
		return nil, disown(ctx, d.conn)
	}
	return nil, fmt.Errorf("%q is no command", c.Do)
}

func (d *desk) observe(ctx context.Context, c command) error {
	_, err := d.conn.Observe(ctx, c.Path, func(notification *pool.Message) {
		value, err := read(c.Path, notification, codes.Content)
		fields := map[string]any{"event": "notification", "path": c.Path, "value": value}
		if err != nil {
			fields["error"] = err.Error()
		}
		report(fields)
	}, queries(c.Query)...)
	return err
}

func main() {
	here := &desk{}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c command
		parser := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		parser.UseNumber()
		fields := map[string]any{"ok": true}
		err := parser.Decode(&c)
		if err == nil {
			fields["value"], err = here.do(c)
		}
		fields["do"] = c.Do
		if err != nil {
			fields["ok"] = false
			fields["error"] = err.Error()
			var answer *refused
			if errors.As(err, &answer) {
				fields["code"] = fmt.Sprintf("%d.%02d", answer.code>>5, answer.code&31)
			}
		}
		report(fields)
	}
}
