package lifecycle

import (
	"fmt"
	"path"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// Rival is another download in the same claim.
type Rival struct {
	Name    string
	UID     string
	Created time.Time
	Started bool // It has run, so files of it may be there.
	Active  bool // It runs, or would if it could.
	Erases  bool // It is being deleted, and its data with it.
	// Path is its spec.volume.path. Content is its status.name and InfoHash
	// its status.infoHash.v1; both are "" while they are not known.
	Path, Content, InfoHash string
}

// RivalOf is what another download of its claim has to know of td.
func RivalOf(td *v1alpha1.TorrentDownload) Rival {
	s := &situation{td: td}
	_, resting := atRest(s)
	return Rival{
		Name:     td.Name,
		UID:      string(td.UID),
		Created:  td.CreationTimestamp.Time,
		Started:  td.Status.StartTime != nil,
		Active:   !resting && !s.suspended() && !s.deleting() && (!meta.IsStatusConditionTrue(td.Status.Conditions, v1alpha1.ConditionStalled) || s.was(download.ReasonNoPeers)),
		Erases:   s.deleting() && td.Spec.DeletionPolicy == v1alpha1.DeletionDelete,
		Path:     td.Spec.Volume.Path,
		Content:  td.Status.Name,
		InfoHash: td.Status.InfoHash.V1,
	}
}

// pathConflict refuses to write where another download of the claim has the
// older right. What counts is where the files go, so torrents with different
// names may share a folder.
func pathConflict(s *situation) (ruling, bool) {
	writes := s.p != nil && onVolume(s.p.State) // It had the place for itself when it began.
	if s.td.Status.Name == "" || s.wasComplete() || writes {
		return ruling{}, false
	}
	for i := range s.in.Rivals {
		if rival := &s.in.Rivals[i]; s.meets(rival) && s.yieldsTo(rival) {
			return ruling{
				standing: standsStalled,
				reason:   download.ReasonPathConflict,
				message: fmt.Sprintf("The files of this torrent would go where TorrentDownload %s has its own, in %s of claim %s. "+
					"Create this one again with another spec.volume.path, or delete that one.",
					rival.Name, path.Join(rival.Path, rival.Content), s.claimName()),
				act:     stop,
				recheck: recheckStuck,
			}, true
		}
	}
	return ruling{}, false
}

// resolveFirst says that the torrent's name has to be known before anything is
// written, because somebody else may have the place, or that its size has to be
// known before there is a claim.
func (s *situation) resolveFirst() bool {
	if s.template() != nil && !s.in.Claim.Exists {
		return true
	}
	if s.td.Status.Name != "" || s.td.Status.StartTime != nil {
		return false
	}
	for i := range s.in.Rivals {
		if download.Overlap(s.in.Rivals[i].Path, s.td.Spec.Volume.Path) {
			return true
		}
	}
	return false
}

// meets says whether the files of a rival and those of this download share a
// place.
func (s *situation) meets(r *Rival) bool {
	return r.Content != "" && download.Overlap(path.Join(r.Path, r.Content), path.Join(s.td.Spec.Volume.Path, s.td.Status.Name))
}

// yieldsTo says whether a rival has the better right to a place: who has
// started, else who is older.
func (s *situation) yieldsTo(r *Rival) bool {
	if started := s.td.Status.StartTime != nil; started != r.Started {
		return r.Started
	}
	if mine := s.td.CreationTimestamp.Time; !r.Created.Equal(mine) {
		return r.Created.Before(mine)
	}
	return r.UID < string(s.td.UID)
}

// sharesFiles says whether a rival's files are the same as this download's, and
// are to be kept for it.
func (s *situation) sharesFiles(r *Rival) bool {
	h := s.td.Status.InfoHash.V1
	return h != "" && !r.Erases && r.InfoHash == h && r.Path == s.td.Spec.Volume.Path
}
