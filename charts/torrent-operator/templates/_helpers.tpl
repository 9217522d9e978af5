{{- define "torrent-operator.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "torrent-operator.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: manager
{{- end -}}

{{/* Labels of every object. The workers are told from the operator by managed-by and component. */}}
{{- define "torrent-operator.labels" -}}
{{ include "torrent-operator.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "torrent-operator.metadata" -}}
name: {{ include "torrent-operator.fullname" . }}
namespace: {{ .Release.Namespace }}
labels: {{- include "torrent-operator.labels" . | nindent 2 }}
{{- end -}}

{{- define "torrent-operator.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "torrent-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "torrent-operator.subject" -}}
kind: ServiceAccount
name: {{ include "torrent-operator.serviceAccount" . }}
namespace: {{ .Release.Namespace }}
{{- end -}}

{{- define "torrent-operator.image" -}}
{{- $i := .Values.image -}}
{{- if $i.digest -}}
{{ $i.repository }}@{{ $i.digest }}
{{- else -}}
{{ $i.repository }}:{{ default .Chart.AppVersion $i.tag }}
{{- end -}}
{{- end -}}

{{/* What a Prometheus is told of the endpoint. Its certificate is its own. */}}
{{- define "torrent-operator.endpoint" -}}
scheme: https
bearerTokenFile: /var/run/secrets/kubernetes.io/serviceaccount/token
tlsConfig:
  insecureSkipVerify: true
{{- end -}}
