// runc-fit runs runc with no more than this machine can grant.
//
// Privileged containers, which kind nodes are, ask for every capability, and
// Kubernetes asks for negative out-of-memory scores and high limits. On a
// machine whose own bounding set lacks a capability, runc fails instead of
// granting less. runc-fit edits the container's OCI configuration first: it
// drops the capabilities that cannot be had and, without CAP_SYS_RESOURCE,
// keeps scores and limits within its own. With all capabilities it changes
// nothing.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The wrapper may itself be called "runc" on the PATH, hence full paths.
var runcs = []string{"/usr/sbin/runc", "/usr/bin/runc"}

// Capabilities by number, as in linux/capability.h.
var capabilities = strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL
	SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW
	IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT
	SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP
	MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF
	CHECKPOINT_RESTORE`)

// Resource limits by number, as in asm-generic/resource.h.
var limits = strings.Fields(`CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS
	SIGPENDING MSGQUEUE NICE RTPRIO RTTIME`)

func main() {
	if missing := missingCapabilities(); len(missing) > 0 {
		if file, whole := configuration(os.Args[1:]); file != "" {
			if err := fit(file, whole, missing); err != nil {
				fmt.Fprintln(os.Stderr, "runc-fit:", err)
			}
		}
	}
	for _, runc := range runcs {
		if _, err := os.Stat(runc); err == nil {
			err = syscall.Exec(runc, append([]string{runc}, os.Args[1:]...), os.Environ())
			fmt.Fprintln(os.Stderr, "runc-fit:", runc+":", err)
			os.Exit(1)
		}
	}
	fmt.Fprintln(os.Stderr, "runc-fit: no runc at", strings.Join(runcs, " or "))
	os.Exit(1)
}

func missingCapabilities() []string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	_, rest, _ := strings.Cut(string(status), "CapBnd:")
	line, _, _ := strings.Cut(rest, "\n")
	bounding, err := strconv.ParseUint(strings.TrimSpace(line), 16, 64)
	if err != nil {
		return nil
	}
	var missing []string
	for number, name := range capabilities {
		if bounding&(1<<number) == 0 {
			missing = append(missing, "CAP_"+name)
		}
	}
	return missing
}

// configuration finds the file that describes the process of a create, run,
// restore or exec. It is a whole OCI configuration or, for exec, only its
// "process" part.
func configuration(args []string) (file string, whole bool) {
	bundle, process, command := "", "", ""
	for i := 0; i < len(args); i++ {
		name, value, given := strings.Cut(args[i], "=")
		if takesValue(name) && !given && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch name {
		case "--bundle", "-b":
			bundle = value
		case "--process", "-p":
			process = value
		case "create", "run", "restore", "exec":
			if command == "" {
				command = name
			}
		}
	}
	switch command {
	case "create", "run", "restore":
		return filepath.Join(bundle, "config.json"), true
	case "exec":
		return process, false
	}
	return "", false
}

func takesValue(flag string) bool {
	return slices.Contains([]string{"--bundle", "-b", "--process", "-p", "--root", "--log",
		"--log-format", "--criu", "--rootless", "--console-socket", "--pid-file",
		"--preserve-fds"}, flag)
}

func fit(file string, whole bool, missing []string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	document := map[string]any{}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber() // large numbers must come out as they went in
	if err := decoder.Decode(&document); err != nil {
		return err
	}
	process := document
	if whole {
		process, _ = document["process"].(map[string]any)
	}
	dropCapabilities(process, missing)
	if slices.Contains(missing, "CAP_SYS_RESOURCE") {
		keepScore(process)
		keepLimits(process)
	}
	if raw, err = json.Marshal(document); err != nil {
		return err
	}
	return os.WriteFile(file, raw, info.Mode().Perm())
}

func dropCapabilities(process map[string]any, missing []string) {
	sets, _ := process["capabilities"].(map[string]any)
	for name, set := range sets {
		list, _ := set.([]any)
		sets[name] = slices.DeleteFunc(list, func(c any) bool {
			s, _ := c.(string)
			return slices.Contains(missing, s)
		})
	}
}

// keepScore lets nothing have a lower out-of-memory score than we have.
func keepScore(process map[string]any) {
	own := int64(0)
	if text, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil {
		own, _ = strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	}
	if wanted, ok := process["oomScoreAdj"].(json.Number); ok {
		if score, err := wanted.Int64(); err == nil && score < own {
			process["oomScoreAdj"] = own
		}
	}
}

// keepLimits lets nothing have higher limits than our own hard ones.
func keepLimits(process map[string]any) {
	wanted, _ := process["rlimits"].([]any)
	for _, entry := range wanted {
		limit, _ := entry.(map[string]any)
		name, _ := limit["type"].(string)
		number := slices.Index(limits, strings.TrimPrefix(name, "RLIMIT_"))
		var own syscall.Rlimit
		if number < 0 || syscall.Getrlimit(number, &own) != nil {
			continue
		}
		for _, which := range []string{"hard", "soft"} {
			if n, ok := limit[which].(json.Number); ok {
				// What does not fit into 64 bits means "unlimited".
				value, err := strconv.ParseUint(n.String(), 10, 64)
				if err != nil {
					value = math.MaxUint64
				}
				if value > own.Max {
					limit[which] = own.Max
				}
			}
		}
	}
}
