package lifecycle

import (
	"fmt"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Claim is what lifecycle wants to know of a PersistentVolumeClaim. Whether it
// is bound, and to what, is the executor's business: some claims are bound
// only when something runs.
type Claim struct {
	Exists   bool
	Deleting bool   // It has a deletion timestamp.
	Lost     bool   // Its volume is gone.
	UID      string // Of the claim that has the name now.

	Ours  bool   // The operator made it, for a TorrentDownload of its name.
	Owner string // UID of the TorrentDownload that it goes with; "" if there is none.

	Requested int64 // Bytes that it asks for.
	Capacity  int64 // Bytes that it has; 0 before it is bound.
	// MountToGrow: the rest of its growing waits for a Pod that mounts it.
	MountToGrow bool
	OnePod      bool   // It is for one Pod at a time (ReadWriteOncePod).
	Class       string // Its StorageClass, "" if it has none;
	Expandable  bool   // and whether that allows it to grow. Looked up where [MayGrow].
}

func (c Claim) usable() bool { return c.Exists && !c.Deleting && !c.Lost }

// ClaimOrder is what is to be done about a claim that is made from
// spec.volume.claimTemplate.
type ClaimOrder struct {
	Make  bool  // It does not exist, and is to be made.
	Size  int64 // Bytes that it is to ask for; 0 leaves that.
	Owned bool  // It is to have an owner reference to the object, so that it goes with it.
}

// ClaimName is the name of the claim that holds the data of td. One that is
// made has the name of its download.
func ClaimName(td *v1alpha1.TorrentDownload) string {
	if td.Spec.Volume.ClaimTemplate != nil {
		return td.Name
	}
	return td.Spec.Volume.ClaimName
}

func (s *situation) claimName() string { return ClaimName(s.td) }

func (s *situation) template() *v1alpha1.ClaimTemplate { return s.td.Spec.Volume.ClaimTemplate }

// claimGoes says that the claim goes with the object, and with it the data.
// One that another download uses does not.
func (s *situation) claimGoes() bool {
	foreign := s.in.Claim.Exists && !s.in.Claim.Ours
	return s.template() != nil && s.td.Spec.DeletionPolicy == v1alpha1.DeletionDelete && len(s.in.Rivals) == 0 && !foreign
}

// ofAnother says that the claim goes with an object that had this name before.
func (s *situation) ofAnother() bool {
	return s.template() != nil && s.in.Claim.Owner != "" && s.in.Claim.Owner != string(s.td.UID)
}

// claimOrder compares the claim with what the template wants.
func (s *situation) claimOrder(r ruling) *ClaimOrder {
	c := s.in.Claim
	switch {
	case s.template() == nil:
		return nil
	case !c.Exists && r.makeClaim:
		size, _ := s.wantedSize()
		return &ClaimOrder{Make: true, Size: size, Owned: s.claimGoes()}
	case !c.usable() || !c.Ours || s.ofAnother() || s.deleting() && !s.hasFinalizer():
		return nil
	}
	o := &ClaimOrder{Owned: s.claimGoes()}
	if size, known := s.wantedSize(); known && size > c.Requested && c.Capacity > 0 && c.Expandable && !s.deleting() {
		o.Size = size
	}
	if o.Size == 0 && o.Owned == (c.Owner != "") {
		return nil
	}
	return o
}

// MayGrow says whether a decision about td needs to know if its claim's class
// allows it to grow.
func MayGrow(td *v1alpha1.TorrentDownload, c Claim, p *download.Progress) bool {
	s := &situation{td: td, p: p}
	size, known := s.wantedSize()
	return s.template() != nil && c.Ours && c.Capacity > 0 && known && size > c.Requested
}

// claimTrouble resolves the metadata while the claim is not there, so that a
// wrong torrent is noticed before. A failure of the metadata is heard over a
// missing claim.
func claimTrouble(s *situation) (ruling, bool) {
	c, name := s.in.Claim, s.claimName()
	if c.usable() && (s.template() == nil || c.Ours && !s.ofAnother()) {
		return ruling{}, false
	}
	r := ruling{standing: standsWorking, reason: download.ReasonClaimNotFound, act: stop, recheck: recheckWaiting}
	switch {
	case s.template() != nil && c.Exists && !c.Ours:
		r.standing, r.reason, r.recheck = standsStalled, v1alpha1.ReasonClaimConflict, recheckStuck
		r.message = fmt.Sprintf("PersistentVolumeClaim %s exists, and the operator did not make it for this download. "+
			"Delete that claim, or create this TorrentDownload again with another name, or with spec.volume.claimName to use the claim.", name)
		return r, true
	case c.Exists && (c.Deleting || s.ofAnother()):
		r.message = fmt.Sprintf("PersistentVolumeClaim %s is being deleted. Create it again; the download starts by itself.", name)
		if s.template() != nil {
			r.message = fmt.Sprintf("PersistentVolumeClaim %s is being deleted. A new one is made when it is gone.", name)
		}
	case c.Lost:
		r.standing, r.reason, r.recheck = standsStalled, v1alpha1.ReasonClaimLost, recheckStuck
		r.message = fmt.Sprintf("The PersistentVolume of claim %s is gone, and the data with it. "+
			"Delete the claim, and create it again unless it has a template; the download then begins again.", name)
	case s.template() != nil:
		if _, known := s.wantedSize(); !known {
			return ruling{}, false // The metadata tells, and is resolved first.
		}
		return s.makeClaim(), true
	default:
		r.act = resolve
		r.message = fmt.Sprintf("PersistentVolumeClaim %s does not exist in namespace %s. Create it; the download starts by itself.", name, s.td.Namespace)
	}
	if f := s.p; f != nil && f.State == download.StateFailed && f.Err != nil && metadataReasons[f.Err.Reason] {
		if r, _ = failed(s); r.act == run {
			r.act = resolve
		}
	}
	return r, true
}

// makeClaim has the claim made, and tells if that is refused.
func (s *situation) makeClaim() ruling {
	r := ruling{
		standing: standsWorking, reason: download.ReasonClaimPending, makeClaim: true, recheck: recheckWaiting,
		message: fmt.Sprintf("PersistentVolumeClaim %s is being made.", s.claimName()),
	}
	if s.p != nil && onVolume(s.p.State) {
		r.act = stop // Its claim has gone.
	}
	if f := s.in.ClaimRefused; f != nil {
		r.standing, r.reason, r.message = standsStalled, f.Reason, f.Message
	}
	return r
}

// tooSmall notices before anything runs that the wanted files do not fit into
// the claim.
func tooSmall(s *situation) (ruling, bool) {
	c := s.in.Claim
	need, known := s.wantedBytes()
	if !known || c.Capacity == 0 || need <= c.Capacity || s.wasComplete() {
		return ruling{}, false
	}
	r := ruling{standing: standsStalled, reason: download.ReasonInsufficientSpace, act: stop, recheck: recheckStuck}
	grows := c.Requested >= need
	if o := s.claimOrder(r); o != nil && o.Size >= need && s.in.ClaimRefused == nil {
		grows = true
	}
	switch {
	case grows && c.MountToGrow:
		return ruling{}, false
	case grows:
		r.standing, r.reason, r.recheck = standsWorking, v1alpha1.ReasonClaimResizing, recheckWaiting
		r.message = fmt.Sprintf("PersistentVolumeClaim %s grows, so that the wanted files fit into it.", s.claimName())
		return r, true
	}
	advice := "Select fewer files in spec.files, or have the claim grow."
	switch {
	case s.template() == nil:
	case s.in.ClaimRefused != nil:
		advice = "It can't grow: " + s.in.ClaimRefused.Message
	case !c.Expandable && s.mayGrow():
		advice = s.notExpandable() + " Select fewer files in spec.files, or create the TorrentDownload again with another class."
	default:
		advice = "Select fewer files in spec.files, or raise spec.volume.claimTemplate.size."
	}
	r.message = fmt.Sprintf("The wanted files have %d bytes (%s), and PersistentVolumeClaim %s has %d (%s) in all. %s",
		need, size(need), s.claimName(), c.Capacity, size(c.Capacity), advice)
	return r, true
}

func (s *situation) mayGrow() bool { return MayGrow(s.td, s.in.Claim, s.p) }

func (s *situation) notExpandable() string {
	if s.in.Claim.Class == "" {
		return "It can't grow, because it has no StorageClass."
	}
	return fmt.Sprintf("It can't grow, because StorageClass %s does not allow that.", s.in.Claim.Class)
}

// growthRefused says why the claim does not get the size that the template
// gives; "" if it does.
func (s *situation) growthRefused() string {
	switch {
	case s.template() == nil || s.template().Size == nil || !s.mayGrow():
		return ""
	case !s.in.Claim.Expandable:
		return s.notExpandable()
	case s.in.ClaimRefused != nil:
		return s.in.ClaimRefused.Message
	}
	return ""
}

// claimTaken lets a download wait while another one, with the better right,
// has a claim that is for one Pod at a time.
func claimTaken(s *situation) (ruling, bool) {
	if !s.in.Claim.OnePod || s.p != nil && onVolume(s.p.State) {
		return ruling{}, false
	}
	for i := range s.in.Rivals {
		if rival := &s.in.Rivals[i]; rival.Active && s.yieldsTo(rival) {
			return ruling{
				standing: standsWorking, reason: download.ReasonVolumeBusy, act: resolve, recheck: recheckWaiting, attempts: s.attempts(),
				message: fmt.Sprintf("PersistentVolumeClaim %s is for one Pod at a time, and TorrentDownload %s has it. "+
					"This download starts by itself when that one is complete, suspended or deleted.", s.claimName(), rival.Name),
			}, true
		}
	}
	return ruling{}, false
}
