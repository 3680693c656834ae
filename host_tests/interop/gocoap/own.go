// Onboarding in the order of plgd's Client, and with what is peculiar to it: the owner's key is a text string of arbitrary
// bytes, an UPDATE of acl2 that names its owner has a null where its list would be, entries have foreign members, pstat is
// read and written through a second session while the first is open, and a failure is answered with RESET.
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/plgd-dev/go-coap/v3/udp"
	"github.com/plgd-dev/go-coap/v3/udp/client"
)

const (
	doxm  = "/oic/sec/doxm"
	pstat = "/oic/sec/pstat"
	cred  = "/oic/sec/cred"
	acl2  = "/oic/sec/acl2"

	stateReset, stateRFOTM, stateRFPRO, stateRFNOP = 0, 1, 2, 3
	clientDirected                                 = 4
)

type body = map[string]any

var mapType = reflect.TypeOf(body{})

// identity is what an owner has: its name, the key shared with the Device, and its certificate, if it has one.
type identity struct {
	uuid        string
	key         []byte
	certificate *party
	authority   *party
}

func raw(uuid string) ([]byte, error) {
	return hex.DecodeString(strings.ReplaceAll(uuid, "-", ""))
}

// numbers makes integers of the numbers of JSON.
func numbers(value any) any {
	switch v := value.(type) {
	case json.Number:
		if whole, err := v.Int64(); err == nil {
			return whole
		}
		part, _ := v.Float64()
		return part
	case map[string]any:
		for name := range v {
			v[name] = numbers(v[name])
		}
	case []any:
		for i := range v {
			v[i] = numbers(v[i])
		}
	}
	return value
}

func disown(ctx context.Context, conn *client.Conn) error {
	_, err := post(ctx, conn, pstat, body{"dos": body{"s": stateReset}})
	return err
}

// own makes c.UUID the owner of the Device at c.Address, and keeps the key for sessions to come.
func (d *desk) own(ctx context.Context, c command) error {
	method, known := map[string]int{"just-works": 0, "certificate": 2}[c.Method]
	if !known {
		return fmt.Errorf("%q is no transfer method of this Client", c.Method)
	}
	clear, err := udp.Dial(c.Address + ":5683")
	if err != nil {
		return err
	}
	defer clear.Close()
	links, err := get(ctx, clear, "/oic/res")
	if err != nil {
		return err
	}
	device := body{}
	if !c.Blind {
		found, err := get(ctx, clear, doxm)
		if err != nil {
			return fmt.Errorf("doxm: %w", err)
		}
		device = found.(body)
		if device["owned"] == true {
			return fmt.Errorf("the device is owned by %v", device["devowneruuid"])
		}
		if !offers(device["oxms"], method) {
			return fmt.Errorf("the device offers the methods %v", device["oxms"])
		}
	}
	if _, err = post(ctx, clear, doxm, body{"oxmsel": method}); err != nil {
		return fmt.Errorf("oxmsel: %w", err)
	}
	var session *client.Conn
	if method == 0 {
		session, err = dial(ctx, c.Address, justWorks())
	} else {
		session, err = dialCertificate(ctx, c.Address, c.Manufacturer)
	}
	if err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	defer session.Close()
	next := identity{uuid: c.UUID, key: make([]byte, 16), authority: c.Authority}
	_, _ = rand.Read(next.key)
	if c.Key != "" {
		if next.key, err = hex.DecodeString(c.Key); err != nil {
			return err
		}
	}
	if err = onboard(ctx, session, c, &next, fmt.Sprint(device["deviceuuid"]), hrefs(links)); err != nil {
		_ = disown(ctx, session)
		return err
	}
	d.owner = next
	return nil
}

func offers(methods any, method int) bool {
	list, _ := methods.([]any)
	for _, one := range list {
		if fmt.Sprint(one) == fmt.Sprint(method) {
			return true
		}
	}
	return false
}

// hrefs are those of the Resources with a configuration that plgd's Client grants itself.
func hrefs(links any) []string {
	found := []string{}
	list, _ := links.([]any)
	for _, link := range list {
		types, _ := link.(body)["rt"].([]any)
		for _, one := range types {
			switch one {
			case "oic.r.coapcloudconf", "oic.wk.mnt", "oic.r.softwareupdate":
				found = append(found, fmt.Sprint(link.(body)["href"]))
			}
		}
	}
	return found
}

func onboard(ctx context.Context, session *client.Conn, c command, owner *identity, device string, own []string) error {
	found, err := get(ctx, session, pstat)
	if err != nil {
		return err
	}
	status := found.(provisioning)
	if status.Dos.Pending || status.Dos.State != stateRFOTM || status.Sm&clientDirected == 0 {
		return fmt.Errorf("pstat is not that of a device to be owned: %+v", status)
	}
	credentials := []body{{
		"subjectuuid": owner.uuid, "credtype": 1,
		"privatedata": body{"data": string(owner.key), "encoding": "oic.sec.encoding.raw"},
	}}
	steps := []struct {
		path  string
		value body
	}{
		{pstat, body{"om": clientDirected}},
		{doxm, body{"deviceuuid": device}},
		{cred, body{"rowneruuid": owner.uuid}},
		{doxm, body{"devowneruuid": owner.uuid}},
		{pstat, body{"rowneruuid": owner.uuid}},
		{acl2, body{"rowneruuid": owner.uuid, "aclist2": []body(nil)}},
		{doxm, body{"rowneruuid": owner.uuid, "owned": true}},
		{pstat, body{"dos": body{"s": stateRFPRO}}},
	}
	for _, step := range steps {
		if step.path == cred { // the certificate names the deviceuuid that was set before
			if c.Authority != nil {
				issued, err := certify(ctx, session, c.Authority, device, owner)
				if err != nil {
					return err
				}
				credentials = append(credentials, issued...)
			}
			step.value["creds"] = credentials
		}
		if _, err := post(ctx, session, step.path, step.value); err != nil {
			return fmt.Errorf("%s %v: %w", step.path, step.value, err)
		}
		if step.value["devowneruuid"] != nil {
			found, err := get(ctx, session, doxm)
			if err != nil {
				return err
			}
			if found.(body)["devowneruuid"] != owner.uuid {
				return fmt.Errorf("doxm names another owner: %v", found)
			}
		}
	}
	second, err := dialKey(ctx, c.Address, owner)
	if err != nil {
		return fmt.Errorf("second session: %w", err)
	}
	defer second.Close()
	if _, err = remove(ctx, second, acl2); err != nil {
		return fmt.Errorf("deleting acl2: %w", err)
	}
	if _, err = post(ctx, second, acl2, body{"aclist2": entries(owner.uuid, own)}); err != nil {
		return fmt.Errorf("writing acl2: %w", err)
	}
	_, err = post(ctx, second, pstat, body{"dos": body{"s": stateRFNOP}})
	return err
}

// entries of acl2: the owner may do everything with the maker's Resources and those that configure, and has its part in the
// security Resources; whoever comes may find the Device.
func entries(owner string, own []string) []body {
	means := func(subject body, permission int, resources ...body) body {
		for _, resource := range resources {
			resource["if"] = []string{"*"}
		}
		return body{"permission": permission, "subject": subject, "resources": resources}
	}
	named := func(hrefs ...string) []body {
		found := []body{}
		for _, href := range hrefs {
			found = append(found, body{"href": href})
		}
		return found
	}
	uuid := body{"uuid": owner}
	return []body{
		means(uuid, 31, append([]body{{"wc": "*"}}, named(own...)...)...),
		means(uuid, 14, named("/oic/sec/sp", pstat, doxm)...),
		means(uuid, 2, named("/oic/sec/csr")...),
		means(body{"conntype": "anon-clear"}, 2, named("/oic/d", "/oic/p", "/oic/res", "/oic/sec/sdi", doxm)...),
	}
}
