package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/torrent-operator/torrent-operator/api/v1alpha1"
	"github.com/torrent-operator/torrent-operator/internal/download"
)

// source resolves spec.source: what ConfigMaps and Secrets hold is read,
// addresses and links are passed on. The failure says what a person can do about a source
// that can't be resolved; the error is about the API server. What is read is
// taken from left.
func (r *TorrentDownloadReconciler) source(ctx context.Context, td *v1alpha1.TorrentDownload, left *allowance) (download.Source, *download.Failure, error) {
	if u := td.Spec.Source.URL; u != nil {
		url, problem, err := r.url(ctx, td.Namespace, u, left)
		return download.Source{URL: url}, problem, err
	}
	if m := td.Spec.Source.Magnet; m != "" {
		return download.Source{Magnet: m}, nil, nil
	}
	if h := td.Spec.Source.InfoHash; h != "" {
		return download.Source{Magnet: "magnet:?xt=urn:btih:" + h}, nil, nil
	}
	var b []byte
	var problem *download.Failure
	var err error
	switch from := td.Spec.Source.MetainfoFrom; {
	case from != nil && from.ConfigMapKeyRef != nil:
		b, problem, err = r.configMapKey(ctx, td.Namespace, from.ConfigMapKeyRef, "the .torrent file", left)
	case from != nil && from.SecretKeyRef != nil:
		b, problem, err = r.secretKey(ctx, td.Namespace, from.SecretKeyRef, left)
	default:
		problem = &download.Failure{
			Reason: download.ReasonMetainfoInvalid, Permanent: true,
			Message: "spec.source has none of the fields that this version of the operator knows. Update the operator, or create the TorrentDownload again with another source.",
		}
	}
	if problem != nil || err != nil {
		return download.Source{}, problem, err
	}
	return download.Source{Metainfo: b}, nil, nil
}

func (r *TorrentDownloadReconciler) url(ctx context.Context, namespace string, u *v1alpha1.URLSource, left *allowance) (*download.URL, *download.Failure, error) {
	headers, pem, problem, err := r.server(ctx, namespace, u.HeadersSecretRef, u.CABundleRef, left)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	return &download.URL{Address: u.Address, Headers: headers, CABundle: pem, SHA256: u.SHA256}, nil, nil
}

// server reads what a server is sent and verified by. Both references may be
// nil.
func (r *TorrentDownloadReconciler) server(ctx context.Context, namespace string, headersRef *v1alpha1.SecretReference, bundleRef *v1alpha1.KeyReference, left *allowance) (
	headers map[string]string, bundle []byte, problem *download.Failure, err error,
) {
	if headersRef != nil {
		var secret *corev1.Secret
		if secret, problem, err = r.secret(ctx, namespace, headersRef.Name); problem != nil || err != nil {
			return nil, nil, problem, err
		}
		headers = make(map[string]string, len(secret.Data))
		size := 0
		for name, value := range secret.Data {
			headers[name] = string(value)
			size += len(name) + len(value)
		}
		if problem := left.take(size, "the headers in Secret "+headersRef.Name); problem != nil {
			return nil, nil, problem, nil
		}
	}
	if bundleRef != nil {
		bundle, problem, err = r.configMapKey(ctx, namespace, bundleRef, "the PEM certificates", left)
	}
	return headers, bundle, problem, err
}

// configMapKey returns the value of a key, from binaryData or data. what names
// it for a person.
func (r *TorrentDownloadReconciler) configMapKey(ctx context.Context, namespace string, ref *v1alpha1.KeyReference, what string, left *allowance) ([]byte, *download.Failure, error) {
	var cm corev1.ConfigMap
	if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &cm); apierrors.IsNotFound(err) {
		return nil, missing("ConfigMap %s does not exist in namespace %s. Create it, with %s under key %s; the download starts by itself.",
			ref.Name, namespace, what, ref.Key), nil
	} else if err != nil {
		return nil, nil, fmt.Errorf("reading ConfigMap %s/%s: %w", namespace, ref.Name, err)
	}
	b, ok := cm.BinaryData[ref.Key]
	if s, text := cm.Data[ref.Key]; text {
		b, ok = []byte(s), true
	}
	if ok {
		return b, left.take(len(b), what+" in ConfigMap "+ref.Name), nil
	}
	return nil, missing("ConfigMap %s has no key %s. Put %s there; the download starts by itself.", ref.Name, ref.Key, what), nil
}

func (r *TorrentDownloadReconciler) secretKey(ctx context.Context, namespace string, ref *v1alpha1.KeyReference, left *allowance) ([]byte, *download.Failure, error) {
	secret, problem, err := r.secret(ctx, namespace, ref.Name)
	if problem != nil || err != nil {
		return nil, problem, err
	}
	b, ok := secret.Data[ref.Key]
	if !ok {
		return nil, missing("Secret %s has no key %s. Put the .torrent file there; the download starts by itself.", ref.Name, ref.Key), nil
	}
	return b, left.take(len(b), "the .torrent file in Secret "+ref.Name), nil
}

// secret returns a Secret if it is one that may be read for a source.
func (r *TorrentDownloadReconciler) secret(ctx context.Context, namespace, name string) (*corev1.Secret, *download.Failure, error) {
	secret := &corev1.Secret{}
	if err := r.Reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret); apierrors.IsNotFound(err) {
		return nil, missing("Secret %s does not exist in namespace %s. Create it with type %s; the download starts by itself within a minute.",
			name, namespace, v1alpha1.SecretTypeSource), nil
	} else if err != nil {
		return nil, nil, fmt.Errorf("reading Secret %s/%s: %w", namespace, name, err)
	}
	if secret.Type != v1alpha1.SecretTypeSource {
		return nil, &download.Failure{
			Reason: v1alpha1.ReasonSecretRefused, Permanent: true,
			Message: fmt.Sprintf("Secret %s is of another type than %s, so it is not read. "+
				"A Secret's type can't be changed: create it again with that type if it is meant for downloads.", name, v1alpha1.SecretTypeSource),
		}, nil
	}
	return secret, nil, nil
}

// missing is a source that is waited for.
func missing(format string, args ...any) *download.Failure {
	return &download.Failure{Reason: v1alpha1.ReasonSourceNotFound, Message: fmt.Sprintf(format, args...)}
}
