package podexec

import "time"

// Bounds on what the executor holds, makes and waits for.
const (
	// maxSecret is the room in a Secret, in bytes, with some left for what is
	// not its data: Kubernetes takes no larger one than 1 MiB.
	maxSecret = 1<<20 - 4<<10
	// keptJobs is how many ended Jobs of one download stay, so that their logs
	// can be read. The youngest tells what came of it, and keptSeconds is how
	// long it stays after the download has come to rest.
	keptJobs    = 3
	keptSeconds = 24 * 60 * 60
	// wakeups is how many wake-ups may wait for the reader before they are
	// lost.
	wakeups = 4096
	// workers is how many downloads are looked after at once.
	workers = 8
	// maxCallers is how many tokens that were found good are remembered, and
	// callerFor how long; workers that report once a second are asked about
	// once a minute.
	maxCallers = 4096
	callerFor  = time.Minute
	// maxEvents is how many events about one object are read: they are deleted
	// after an hour, and the kubelet repeats itself each few minutes.
	maxEvents = 100
	// page is how many Jobs or Pods the API server is asked for at a time.
	page = 50
	// maxHint is how much of an event's message is quoted, in bytes.
	maxHint = 240
)

// How soon to look again where nothing might tell.
const (
	// patience is how long a Pod may take to be made, scheduled and started
	// before the reason is looked for, and how long a worker may be silent.
	patience = 10 * time.Second
	silence  = time.Minute
	// recheck is how often something is looked at that is not watched: nodes,
	// events, and claims.
	recheck = 15 * time.Second
	// refusedSeeder is how soon to try again to make a seeder that the API
	// server did not take.
	refusedSeeder = time.Minute
	// lookAgain is how soon to ask the API server again for what has to end
	// before a Pod is made.
	lookAgain = 2 * time.Second
	// upgradeSpread is the time in which a new operator begins the seeders of
	// the one before anew.
	upgradeSpread = 10 * time.Minute
	// firstError and lastError bound the time between two tries of a step
	// that the API server did not take.
	firstError = 50 * time.Millisecond
	lastError  = time.Minute
)
