package lifecycle

import (
	"fmt"
	"path"
	"strings"

	"github.com/torrent-operator/torrent-operator/internal/download"
)

// pathConflict refuses to write where another download of the claim has the
// older right. What counts is where the files go, so torrents with different
// names may share a folder.
func pathConflict(s *situation) (ruling, bool) {
	if s.td.Status.Name == "" || s.wasComplete() {
		return ruling{}, false
	}
	for i := range s.in.Rivals {
		if rival := &s.in.Rivals[i]; s.meets(rival) && s.yieldsTo(rival) {
			return ruling{
				standing: standsStalled,
				reason:   download.ReasonPathConflict,
				message: fmt.Sprintf("The files of this torrent would go where TorrentDownload %s has its own, in %s of claim %s. "+
					"Create this one again with another spec.volume.path, or delete that one.",
					rival.Name, path.Join(rival.Path, rival.Content), s.td.Spec.Volume.ClaimName),
				act:     stop,
				recheck: recheckStuck,
			}, true
		}
	}
	return ruling{}, false
}

// resolveFirst says that the torrent's name has to be known before anything is
// written, because somebody else may have the place.
func (s *situation) resolveFirst() bool {
	if s.td.Status.Name != "" || s.td.Status.StartTime != nil {
		return false
	}
	for i := range s.in.Rivals {
		if overlap(s.in.Rivals[i].Path, s.td.Spec.Volume.Path) {
			return true
		}
	}
	return false
}

// meets says whether the files of a rival and those of this download share a
// place.
func (s *situation) meets(r *Rival) bool {
	return r.Content != "" && overlap(path.Join(r.Path, r.Content), path.Join(s.td.Spec.Volume.Path, s.td.Status.Name))
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

// overlap says whether one of two paths below the same root is the other one
// or above it. "" is the root.
func overlap(a, b string) bool {
	return a == "" || b == "" || strings.HasPrefix(a+"/", b+"/") || strings.HasPrefix(b+"/", a+"/")
}
